"""Suppression list: a file of addresses that nothing is to be written to, read line by line, and the list as a file.

Memory is bounded: of each address its digest of 16 bytes is kept, at most two million at a time, whatever the file has.
"""

import csv
import io
import re
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from hashlib import file_digest
from typing import BinaryIO

import msgspec

from mesh import Mesh
from mesh.profiles import address_digest, phone_digest
from notifications.channels.email_message import recipient
from notifications.mail_reports.requests import ImportedPart
from notifications.suppressions import DIGEST, SUPPRESSIONS

LONGEST_LINE, SHOWN = 4_000, 50
AT_ONCE = 2_000_000
"""Digests that are kept until they are sent on: 32 MB."""
STEP = 10_000
"""Lines that are read at a time, between which others have their turn."""
_phone = re.compile(r"\+[1-9]\d{6,14}").fullmatch
_digest = re.compile(r"[0-9a-f]{32}").fullmatch
NAMES = (
    "email",
    "e-mail",
    "email address",
    "e-mail address",
    "address",
    "mail",
    "digest",
    "email_address",
    "recipient",
    "phone",
    "phone number",
)


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that has no address, and why."""

    line: int
    why: str


class ReadList(msgspec.Struct, kw_only=True):
    """What became of a file: lines with an address, how many addresses they are, and what was wrong with the others.

    `bad` has the first of them, `reasons` how many there are of each kind.
    """

    lines: int = 0
    addresses: int = 0
    bad: list[BadLine] = []
    reasons: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def refused(self) -> int:
        """How many lines had no address."""
        return self.reasons.total()

    def refuse(self, line: int, why: str) -> None:
        """Count a line that has no address."""
        self.reasons[why] += 1
        if len(self.bad) < SHOWN:
            self.bad.append(BadLine(line=line, why=why))


class NoList(Exception):
    """The file is no list of addresses at all; says what to do."""


def digests(file: BinaryIO, found: ReadList) -> Iterator[bytes | None]:
    """The digest of the address in each line; None for a line without one. Raises NoList.

    The addresses are in the column that is named so in the first line, or else in the first that has one. Columns are
    separated by comma, semicolon or tab. A cell may have a digest instead, as an exported list has.
    """
    delimiter, column = "", -1
    for number, line in enumerate(_lines(file), 1):
        if line is None:
            found.refuse(number, "not in UTF-8: save the file as CSV UTF-8")
            yield None
            continue
        if not line.strip():
            continue
        delimiter = delimiter or max(",;\t", key=line.count)
        cells = _cells(line, delimiter)
        if column < 0:
            column, is_head = _column(cells)
            if is_head:
                continue
        digest = _digest_of(cells, column)
        if digest is None:
            found.refuse(number, "longer than 4,000 signs" if len(line) > LONGEST_LINE else "no address in it")
        else:
            found.lines += 1
        yield digest


def name_of(file: BinaryIO) -> str:
    """What an import is known by: the same file again is the same import."""
    name = file_digest(file, "sha256").hexdigest()[:32]
    file.seek(0)
    return name


async def import_list(
    file: BinaryIO,
    send: Callable[[ImportedPart], Awaitable[object]],
    *,
    named: str,
    by: str,
    at: datetime,
    pause: Callable[[], Awaitable[None]],
) -> ReadList:
    """Send a file's addresses on, in parts. `pause` is awaited between some thousand lines. Raises NoList.

    Nothing is sent before the first two million addresses, or the whole file, are read. `named` is the import: the same
    again replaces what it was.
    """
    found, parts, kept, flushed = ReadList(), [bytearray() for _ in range(256)], 0, 0
    for count, digest in enumerate(digests(file, found), 1):
        if digest is not None:
            parts[digest[0]] += digest
            kept += 1
        if kept >= AT_ONCE:
            found.addresses += await _send(parts, f"{named}-{flushed}", send, named=named, by=by, at=at)
            kept, flushed = 0, flushed + 1
        if count % STEP == 0:
            await pause()
    found.addresses += await _send(parts, f"{named}-{flushed}", send, named=named, by=by, at=at)
    return found


async def exported(mesh: Mesh) -> AsyncIterator[str]:
    """The list as CSV, a shard at a time: digest, reason, since when."""
    yield "digest,reason,since\r\n"
    async for key, kept in mesh.state(SUPPRESSIONS).items():
        if key.startswith("shard-") and kept.shard is not None:
            rows = (
                f"{address},{entry.reason},{entry.at.isoformat()}\r\n" for address, entry in kept.shard.suppressed()
            )
            yield "".join(rows)


async def _send(
    parts: list[bytearray],
    part: str,
    send: Callable[[ImportedPart], Awaitable[object]],
    *,
    named: str,
    by: str,
    at: datetime,
) -> int:
    """Send what is kept, each address once, and forget it; how many there were."""
    sent = 0
    for first, packed in enumerate(parts):
        if packed:
            known = sorted({bytes(packed[at : at + DIGEST]) for at in range(0, len(packed), DIGEST)})
            joined = b64encode(b"".join(known)).decode()
            await send(ImportedPart(part=f"{part}-{first:02x}", list=named, by=by, at=at, addresses=joined))
            sent += len(known)
            packed.clear()
    return sent


def digest_of(text: str) -> str | None:
    """The name of an e-mail address, or of a telephone number with its + and country's code; None for anything else."""
    if number := _phone("".join(text.split())):
        return phone_digest(number[0])
    return address_digest(text) if recipient(text) else None


def _lines(file: BinaryIO) -> Iterator[str | None]:
    """The lines as text; None for one that is not in UTF-8. UTF-16 is known by its first bytes. Raises NoList."""
    start = file.read(4)
    file.seek(0)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        yield from io.TextIOWrapper(file, encoding="utf-16", errors="replace")
        return
    if start[:2] in (b"PK", b"\xd0\xcf") or b"\0" in start:
        raise NoList("this is no text: save the table as CSV UTF-8 and import that file")
    first = True
    while line := file.readline(LONGEST_LINE + 2):
        whole = line
        while not whole.endswith(b"\n") and (whole := file.readline(LONGEST_LINE)):
            line = line[:LONGEST_LINE] + b"!" * 2  # known as too long
        try:
            yield line.decode("utf-8-sig" if first else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            yield None
        first = False


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _column(cells: list[str]) -> tuple[int, bool]:
    """Where the addresses are, and whether this is the line with the columns' names."""
    for at, cell in enumerate(cells):
        if _address(cell) is not None:
            return at, False
    for at, cell in enumerate(cells):
        if cell.strip().lower() in NAMES:
            return at, True
    return (0 if len(cells) == 1 else -1), False


def _digest_of(cells: list[str], column: int) -> bytes | None:
    return _address(cells[column]) if 0 <= column < len(cells) and sum(map(len, cells)) <= LONGEST_LINE else None


def _address(cell: str) -> bytes | None:
    text = cell.strip().strip("<>")
    if _digest(text):
        return bytes.fromhex(text)
    digest = digest_of(text)
    return bytes.fromhex(digest) if digest else None
