"""Inbox store: every message that the embedded mail server accepted, with its own record of what was sent."""

import asyncio
import email
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.policy import default
from pathlib import Path
from typing import IO

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

RECORD = "mails.jsonl"


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted message as the server saw it. `received` is aware UTC with microseconds; `file` its .eml."""

    number: int
    received: datetime
    sender: str
    recipients: tuple[str, ...]
    message_id: str
    offer_id: str | None
    subject: str
    file: str


class Inbox:
    """Accepts everything unless it is set to refuse; writes the body first, then the record, then says 250.

    `refuse` maps a recipient to an SMTP answer such as `"451 try later"`; a callable gives one or None.
    """

    def __init__(self, folder: Path, *, refuse: dict[str, str] | Callable[[str], str | None] | None = None) -> None:
        self.folder = folder
        self.mails: list[Mail] = []
        self.smtp_port = 0
        self.url = ""
        self.attempts: list[str] = []
        """Every recipient that was offered, refused or not."""
        self.on_arrival: list[Callable[[], None]] = []
        """Called after each mail that was accepted."""
        self.on_close: list[Callable[[], None]] = []
        """Called first of all when the inbox ends: streams that would stay open for ever end here."""
        self._refuse = refuse if callable(refuse) else (refuse or {}).get
        self._arrived = asyncio.Condition()
        self._record: IO[bytes] | None = None
        (folder / "mails").mkdir(parents=True, exist_ok=True)
        self.mails.extend(record(folder))

    async def handle_RCPT(  # noqa: N802  aiosmtpd calls it by this name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take or refuse a recipient."""
        self.attempts.append(address)
        answer = self._refuse(address)
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd
        """Keep a message and its record, then accept it."""
        content = bytes(envelope.content or b"")
        head = _head(content)
        number = len(self.mails) + 1
        mail = Mail(
            number=number,
            received=datetime.now(UTC),
            sender=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            message_id=head.get("message-id", ""),
            offer_id=head.get("x-cartmesh-offer"),
            subject=_words(head.get("subject", "")),
            file=f"mails/{number:06}.eml",
        )
        self.mails.append(mail)
        (self.folder / mail.file).write_bytes(content)
        if self._record is None:
            self._record = (self.folder / RECORD).open("ab")
        self._record.write(msgspec.json.encode(mail) + b"\n")
        self._record.flush()
        async with self._arrived:
            self._arrived.notify_all()
        for arrived in self.on_arrival:
            arrived()
        return "250 OK"

    async def wait_for(self, count: int, timeout: float = 10.0) -> list[Mail]:  # noqa: ASYNC109  a test's patience
        """All mails once there are `count`; TimeoutError otherwise."""
        async with asyncio.timeout(timeout), self._arrived:
            await self._arrived.wait_for(lambda: len(self.mails) >= count)
        return list(self.mails)

    def opened(self, mail: Mail) -> email.message.EmailMessage:
        """A mail, parsed."""
        return email.message_from_bytes((self.folder / mail.file).read_bytes(), policy=default)  # type: ignore[return-value]

    def environment(self, host: str = "127.0.0.1") -> dict[str, str]:
        """The settings with which services send here."""
        return {"CARTMESH_SMTP_HOST": host, "CARTMESH_SMTP_PORT": str(self.smtp_port)}

    def close(self) -> None:
        """Close the record."""
        if self._record is not None:
            self._record.close()


def record(folder: Path) -> Iterator[Mail]:
    """Every mail in a folder's record, oldest first. A last line that was cut short by a kill was never accepted."""
    path = folder / RECORD
    if path.exists():
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield msgspec.json.decode(line, type=Mail)


def _head(content: bytes) -> dict[str, str]:
    """The headers that matter, unfolded; parsing whole messages is several times slower."""
    head = content.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    found: dict[str, str] = {}
    for line in re.sub(r"\r\n[ \t]+", " ", head).split("\r\n"):
        name, _, value = line.partition(":")
        found.setdefault(name.lower(), value.strip())
    return found


def _words(text: str) -> str:
    from email.header import decode_header, make_header  # noqa: PLC0415  only for words that are encoded

    try:
        return str(make_header(decode_header(text))) if "=?" in text else text
    except (ValueError, LookupError):
        return text
