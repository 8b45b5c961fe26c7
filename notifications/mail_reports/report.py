"""Report: what somebody says of a mail, that it came back or that its recipient complained, before it is stored."""

import re
from typing import Literal

import msgspec

from notifications.mail_reference import MailReference

_enhanced = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b").search
_plain = re.compile(r"(?:^|[\s;])([245]\d\d)(?=[\s-]|$)").search
NO_MAILBOX = {"0", "1", "2", "3", "4", "6", "9", "10"}
"""The details of `5.1.x` that are about the recipient's address: unknown, its domain, ambiguous, moved, null MX."""
NO_MAILBOX_CODES = {"521", "550", "551", "553", "556"}
"""SMTP codes that mean it where nothing more exact was said (RFC 5321 4.2.3, RFC 7504)."""


class MailReport(msgspec.Struct, frozen=True, kw_only=True):
    """A bounce or a complaint about one recipient, who is `address` or whom the `reference` names.

    Personal: `address` goes into no event and no log. `id` is the report's own, which counts once; `mail` the id of
    what was sent, where the reference does not say it; `kind` of a complaint is its feedback type.
    """

    about: Literal["bounce", "complaint"]
    id: str
    source: str
    address: str | None = None
    reference: MailReference | None = None
    mail: str | None = None
    hard: bool = False
    status: str = ""
    reason: str = ""
    kind: str = "abuse"


def enhanced_status(status: str, diagnostic: str) -> str:
    """The enhanced status code (RFC 3463): the server's own words are more exact than a code that says nothing."""
    named, said = _enhanced(status or ""), _enhanced(diagnostic or "")
    if said and (named is None or named[0].endswith(".0.0")):
        return said[0]
    return named[0] if named else ""


def is_hard(status: str, diagnostic: str) -> bool:
    """Whether there is no such mailbox: a full one, a policy and a message that is too large are not for good."""
    known = enhanced_status(status, diagnostic)
    family, subject, detail = known.split(".") if known else ("", "0", "0")
    if family in ("2", "4"):
        return False
    if subject == "1":
        return detail in NO_MAILBOX
    if (subject, detail) == ("2", "1"):  # the mailbox is disabled
        return True
    if subject != "0":
        return False
    code = _plain(diagnostic or "")
    return code[1] in NO_MAILBOX_CODES if code else (family, detail) == ("5", "0") and not diagnostic
