"""The list of suppressed addresses: what files are read as, and what is filed in any order comes to the same."""

import io
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import Mesh, Received
from mesh.broker.memory import MemoryMesh
from mesh.events.address import AddressListImported, AddressSuppressed
from mesh.profiles import address_digest
from mesh.runtime.run import running
from notifications import suppression_list
from notifications.mail_reports import requests
from notifications.mail_reports import service as mail_reports
from notifications.mail_reports.filing import added, counts_of, filed
from notifications.mail_reports.requests import Suppress
from notifications.suppression_list import NoList, ReadList, digests, exported, import_list, name_of
from notifications.suppressions import SUPPRESSIONS, Shard, read_counts, shard_key, standing_of

ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@exämple.com"
AT = datetime(2026, 11, 1, tzinfo=UTC)


def read(raw):
    """The addresses' digests in a file, and what was wrong."""
    found = ReadList()
    return [one.hex() for one in digests(io.BytesIO(raw), found) if one], found


FILES = {
    "bare": b"ada@example.com\nbob@example.com\n",
    "no line end, spaces, capitals": b"  ADA@Example.COM \r\n<bob@example.com>",
    "a head": b"email\nada@example.com\nbob@example.com\n",
    "columns": b"name,E-Mail,when\nAda,ada@example.com,1\nBob,bob@example.com,2\n",
    "semicolons": b"name;email\nAda;ada@example.com\nBob;bob@example.com\n",
    "tabs without a head": b"Ada\tada@example.com\nBob\tbob@example.com\n",
    "quoted": b'"Lovelace, Ada","ada@example.com"\n"Bob","bob@example.com"\n',
    "a byte order mark": b"\xef\xbb\xbfemail\r\nada@example.com\r\nbob@example.com\r\n",
    "a byte order mark before an address": b"\xef\xbb\xbfada@example.com\nbob@example.com\n",
    "UTF-16": "email\nada@example.com\nbob@example.com\n".encode("utf-16"),
    "empty lines": b"\n\nada@example.com\n\n  \nbob@example.com\n\n",
    "an exported list": f"digest,reason,since\n{address_digest(ADA)},manual,x\n{address_digest(BOB)},y,z\n".encode(),
}


@pytest.mark.parametrize("name", FILES)
def test_lists_of_many_programs_are_read(name):
    """The same two addresses, and nothing is refused."""
    assert read(FILES[name]) == ([address_digest(ADA), address_digest(BOB)], ReadList(lines=2))


def test_lines_without_an_address_are_named_and_the_others_count():
    """By number as an editor shows it, with what to do."""
    raw = b"email\nada@example.com\nnobody\nM\xfcller,x@example.com\n@\nbob@example.com\n" + b"x" * 9_000 + b"\na@b\n"
    found, said = read(raw)

    assert found == [address_digest(ADA), address_digest(BOB), address_digest("a@b")]
    assert [(one.line, one.why) for one in said.bad] == [
        (3, "no address in it"),
        (4, "not in UTF-8: save the file as CSV UTF-8"),
        (5, "no address in it"),
        (7, "longer than 4,000 signs"),
    ]


@pytest.mark.parametrize("raw", [b"PK\x03\x04 a spreadsheet", b"\xd0\xcf\x11\xe0 an old one", b"a\0b\0"])
def test_what_is_no_text_is_refused_whole(raw):
    """It says what to do."""
    with pytest.raises(NoList, match="save the table as CSV UTF-8"):
        read(raw)


def test_of_many_bad_lines_the_first_are_named_and_all_are_counted():
    """A page is not to be as long as a bad file."""
    _, said = read(b"ada@example.com\n" + b"bad\n" * 1_000)

    assert (len(said.bad), said.refused, dict(said.reasons)) == (50, 1_000, {"no address in it": 1_000})


@settings(max_examples=40)
@given(st.binary(max_size=300))
def test_any_file_is_read_or_refused(raw):
    """Whatever is in it."""
    try:
        found, said = read(raw)
    except NoList:
        return
    assert len(found) == said.lines


async def imported(raw, monkeypatch, at_once=1_000):
    """The parts that a file is sent as."""
    monkeypatch.setattr(suppression_list, "AT_ONCE", at_once)
    monkeypatch.setattr(suppression_list, "STEP", 1_000)
    parts, pauses = [], []

    async def send(part):
        parts.append(part)

    async def pause():
        pauses.append(1)

    file = io.BytesIO(raw)
    said = await import_list(file, send, named=name_of(file), by="a1", at=AT, pause=pause)
    return parts, said, pauses


async def test_a_large_file_is_sent_in_parts_and_gives_others_their_turn(monkeypatch):
    """Each address once in a part, sorted; a part holds those that begin alike; the same file has the same parts."""
    raw = b"".join(b"v%d@example.com\n" % (n % 3_000) for n in range(5_000))
    parts, said, pauses = await imported(raw, monkeypatch, at_once=4_000)
    again, _, _ = await imported(raw, monkeypatch, at_once=4_000)

    assert (said.lines, said.refused, len(pauses)) == (5_000, 0, 5)
    assert 256 < len(parts) <= 512
    assert len({one.part for one in parts}) == len(parts)
    assert parts == again
    assert said.addresses == 3_000 + 1_000  # within each of the two sendings


def received(event, *, time, id):
    return Received(event=event, id=id, time=time, stored=time, region="us", sequence=1, subject="")


def suppressed(email, at, *, on=True, reason="manual"):
    event = AddressSuppressed(address=address_digest(email), suppressed=on, reason=reason, by="a1")
    return received(event, time=AT + timedelta(minutes=at), id=f"{email}{at}{on}")


def listed(at, *emails):
    packed = b64encode(b"".join(sorted(bytes.fromhex(address_digest(one)) for one in emails))).decode()
    moment = AT + timedelta(minutes=at)
    event = AddressListImported(part=f"p{at}", list="l", by="a1", at=moment, addresses=packed)
    return received(event, time=moment, id=f"list{at}")


PEOPLE = (ADA, BOB, EVE)
SINGLE = st.builds(suppressed, st.sampled_from(PEOPLE), st.integers(0, 20), on=st.booleans())
WHO = st.sets(st.sampled_from(PEOPLE), min_size=1)
LISTS = st.builds(lambda at, who: listed(at, *who), st.integers(0, 20), WHO)


def folded(events):
    """The shards after these events, one at a time."""
    shards = {}
    for one in events:
        for key, more in added([one]).items():
            shards[key] = filed(shards.get(key, Shard()), more)
    return shards


@settings(max_examples=25)
@given(st.lists(SINGLE | LISTS, max_size=12, unique_by=lambda one: one.id), st.randoms())
def test_order_and_repetition_make_no_difference(events, random):
    """One at a time, twice, in another order, or all at once."""
    shuffled = [*events, *events[:3]]
    random.shuffle(shuffled)
    at_once = {key: filed(Shard(), more) for key, more in added(events).items()}

    assert folded(events) == folded(shuffled) == at_once


@settings(max_examples=25)
@given(st.lists(SINGLE | LISTS, max_size=12, unique_by=lambda one: one.id))
def test_the_later_word_holds(events):
    """Of single addresses and lists alike, as a plain comparison of times has it."""
    shards = folded(events)
    for email in PEOPLE:
        said = []
        for one in events:
            match one.event:
                case AddressSuppressed(address=address, suppressed=on) if address == address_digest(email):
                    said.append((one.event_time, on))
                case AddressListImported() if _has(one, email):
                    said.append((one.event.at, True))
        entry = shards.get(shard_key(address_digest(email)), Shard()).of(address_digest(email))
        latest = max((at for at, _ in said), default=None)
        assert (entry.at if entry else None) == latest
        if entry:
            assert (latest, entry.suppressed) in said


def _has(one, email):
    digest = bytes.fromhex(address_digest(email))
    return any(digest in part for more in added([one]).values() for part in more.lists.values())


def test_counts_are_those_of_the_addresses():
    """By the reason that holds; what was released counts no more."""
    events = [suppressed(ADA, 1, reason="complaint"), listed(2, ADA, BOB), suppressed(BOB, 3, on=False)]
    found = folded(events)

    assert [counts_of(one) for one in found.values() if counts_of(one)] == [{"imported": 1}]


async def test_a_list_goes_all_the_way_and_comes_out_again(eventually):
    """Imported in one region, looked up in both, exported; a single word after it is exact."""
    regions = MemoryMesh("us", "eu")
    here, there = (
        Mesh(regions.broker(one), "mail-reports", others=(two,)) for one, two in (("us", "eu"), ("eu", "us"))
    )
    many = [f"v{n}@example.com" for n in range(600)]
    raw = "\n".join(many).encode()
    async with running(mail_reports, here), running(mail_reports, there):

        async def send(part):
            await requests.store_part(part, here)

        async def pause():
            pass

        for _ in range(2):
            await import_list(io.BytesIO(raw), send, named="l1", by="a1", at=AT, pause=pause)
        for mesh in (here, there):
            await eventually(lambda mesh=mesh: _counts(mesh, {"imported": 600}))
        before = [(await standing_of(address_digest(many[7]), mesh)).reason for mesh in (here, there)]
        changed = await requests.suppress_address(
            Suppress(address=address_digest(many[7]), suppressed=False, reason="imported", by="a1"), here
        )
        after = (await standing_of(address_digest(many[7]), here)).reason
        await eventually(lambda: _counts(there, {"imported": 599}))
        rows = "".join([part async for part in exported(here)]).splitlines()
        keys = [key async for key, _ in here.state(SUPPRESSIONS).items()]

    assert (before, changed.changed, after) == (["imported"] * 2, True, None)
    assert rows[0] == "digest,reason,since"
    assert {row.partition(",")[0] for row in rows[1:]} == {address_digest(one) for one in many if one != many[7]}
    assert all(one < two for one, two in pairwise(sorted(rows[1:])))
    assert len([key for key in keys if key.startswith("counts-")]) == 16


async def _counts(mesh, wanted):
    return await read_counts(mesh) == wanted
