"""Comparison: whether what DNS says now is what it should say, and if not, what is different."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from notifications.sender_records import SenderRecord
from notifications.studio.sender_pages.public_dns import Answer

State = Literal["right", "different", "missing", "unknown"]
POLICIES = {
    "none": "Receivers only report what fails (p=none).",
    "quarantine": "Receivers put what fails into spam (p=quarantine).",
    "reject": "Receivers refuse what fails (p=reject).",
}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found for one record: `words` says it, `differences` what is to be changed."""

    state: State
    words: str
    differences: tuple[str, ...] = ()
    found: tuple[str, ...] = ()


def names_of(record: SenderRecord) -> list[str]:
    """Under which names the record counts, the nearest first: a policy of DMARC holds for the domains below, too."""
    if record.kind != "DMARC":
        return [record.name]
    labels = record.name.removeprefix("_dmarc.").split(".")
    return [f"_dmarc.{'.'.join(labels[at:])}" for at in range(max(1, len(labels) - 1))]


def compare(record: SenderRecord, answers: Sequence[Answer]) -> Verdict:
    """The verdict on a record by the answers for its names, in their order."""
    for answer in answers:
        if answer.trouble:
            return Verdict(state="unknown", words=f"DNS could not be asked: {answer.trouble}. Try again in a minute.")
        found = tuple(text for text in answer.texts if _is(record.kind, text))
        if found:
            return _judged(record, answer.name, found)
    return Verdict(
        state="missing", words="Nothing is published under this name. A new record can take some hours to be seen."
    )


def _judged(record: SenderRecord, name: str, found: tuple[str, ...]) -> Verdict:
    if len(found) > 1:
        word = (
            f"There are {len(found)} {record.kind} records under this name, so receivers ignore all of them. Keep one."
        )
        return Verdict(state="different", words="Published, but not as it should be.", differences=(word,), found=found)
    judge = {"SPF": _spf, "DKIM": _dkim, "DMARC": _dmarc}[record.kind]
    if differences := tuple(judge(record.value, found[0])):
        return Verdict(
            state="different", words="Published, but not as it should be.", differences=differences, found=found
        )
    words = "Published as it should be."
    if record.kind == "DMARC":
        words += f" {POLICIES[_tags(found[0])['p'].lower()]}"
        words += f" It is taken from {name}." if name != record.name else ""
    return Verdict(state="right", words=words, found=found)


def _is(kind: str, text: str) -> bool:
    """Whether a text is a record of a kind: other services put theirs under the same name."""
    begins = text.strip().lower()
    if kind == "SPF":
        return begins.split(" ")[0] == "v=spf1"
    return begins.split(";")[0].replace(" ", "") == "v=dmarc1" if kind == "DMARC" else "p" in _tags(text)


def _spf(wanted: str, found: str) -> Iterator[str]:
    terms = [term.lower().removeprefix("+") for term in found.split()[1:]]
    for term in wanted.split()[1:-1]:
        if term.lower().removeprefix("+") not in terms:
            yield f"It does not name {term}: mails from there fail."
    ends = {"-all", "~all"}
    if "all" in terms:
        yield "It ends in +all, which lets everybody send in your name: write ~all."
    elif not ends & set(terms) and not any(term.startswith("redirect=") for term in terms):
        yield "It does not say what holds for other servers: add ~all at its end."


def _dkim(wanted: str, found: str) -> Iterator[str]:
    has, should = _tags(found), _tags(wanted)
    if not has["p"]:
        yield "The key is empty (p=), which tells receivers that it was withdrawn."
    elif len(has["p"]) != len(should["p"]):
        yield f"Its key is another one, or not whole: it has {len(has['p'])} signs and should have {len(should['p'])}."
    elif has["p"] != should["p"]:
        yield "Its key is another one than that with which mails are signed."
    if has.get("v", "DKIM1") != "DKIM1":
        yield f"It begins with v={has['v']} and should with v=DKIM1."
    if (kind := has.get("k", "rsa").lower()) != should["k"]:
        yield f"It says k={kind} and should say k={should['k']}."
    if "y" in has.get("t", "").split(":"):
        yield "It says t=y (a test), so that receivers treat mails as if they were not signed."
    if "sha256" not in has.get("h", "sha256").lower().split(":"):
        yield f"It only allows h={has['h']}: mails are signed with sha256."


def _dmarc(wanted: str, found: str) -> Iterator[str]:
    has, should = _tags(found), _tags(wanted)
    if has.get("p", "").lower() not in POLICIES:
        yield "It has no policy that receivers know: p=none, p=quarantine or p=reject."
    if (reports := should.get("rua")) and reports.lower() not in has.get("rua", "").lower().split(","):
        yield f"Reports do not go to {reports.removeprefix('mailto:')}: add rua={reports}."


def _tags(text: str) -> dict[str, str]:
    """`name=value; ...` of DKIM and DMARC. White space inside of a value means nothing."""
    pairs = (part.partition("=") for part in text.split(";") if "=" in part)
    return {name.strip().lower(): "".join(value.split()) for name, _, value in pairs}
