"""Mailbox: where mails that come back arrive, a Maildir folder or an IMAP mailbox, looked at again and again.

A mail is marked as done only once what it reports is stored, so that a process that ends in between reads it again,
which changes nothing. Mails that are no reports, or are about mails that are not ours, are kept for people.
"""

import imaplib
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from mesh.errors import DeclarationError
from notifications.mail_reports.returned_mail import LARGEST

AT_ONCE = 200
"""The most mails of one look."""
PATIENCE = 20.0


class MailboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`bounce_mailbox` is where `bounce_address` delivers to: `maildir:/path`, or `imaps://user@host/INBOX`.

    `imap://` is for a server beside, as the password is sent in the clear. Empty: no mailbox is looked at.
    """

    bounce_mailbox: str = ""
    bounce_mailbox_password: str = ""


class Mailbox(Protocol):
    """What holds mails that came back."""

    def waiting(self) -> Iterator[tuple[str, bytes]]:
        """Mails that are not done, by a name: as many bytes of each as are looked at."""

    def done(self, name: str, *, was_report: bool) -> None:
        """A mail's reports are stored; or it was none, and is kept for people."""

    def close(self) -> None:
        """Let go of the mailbox."""


class Maildir:
    """A folder with `new` and `cur`, as https://cr.yp.to/proto/maildir.html describes it. Others go to `.Other`."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        if not (self._path / "new").is_dir():
            raise DeclarationError(f"CARTMESH_BOUNCE_MAILBOX: {path} is no Maildir: it has no folder `new`")

    def waiting(self) -> Iterator[tuple[str, bytes]]:
        """Those in `new`, the oldest first."""
        names = sorted(one.name for one in (self._path / "new").iterdir() if one.is_file() and not one.is_symlink())
        for name in names[:AT_ONCE]:
            with suppress(FileNotFoundError), (self._path / "new" / name).open("rb") as file:
                yield name, file.read(LARGEST)

    def done(self, name: str, *, was_report: bool) -> None:
        """Move it; another process may have done so."""
        folder = self._path / "cur" if was_report else self._path / ".Other" / "cur"
        for one in ("new", "cur", "tmp"):
            (folder.parent / one).mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            (self._path / "new" / name).rename(folder / f"{name.partition(':')[0]}:2,S")

    def close(self) -> None:
        """Nothing is held."""


class Imap:
    """An IMAP4rev1 mailbox (RFC 3501): mails that nobody has seen. Those that are no reports are flagged for people."""

    def __init__(self, url: str, password: str) -> None:
        parts = urlsplit(url)
        user, host, folder = unquote(parts.username or ""), parts.hostname or "", unquote(parts.path.strip("/"))
        if parts.scheme == "imaps":
            context = ssl.create_default_context()
            self._server: imaplib.IMAP4 = imaplib.IMAP4_SSL(
                host, parts.port or 993, ssl_context=context, timeout=PATIENCE
            )
        else:
            self._server = imaplib.IMAP4(host, parts.port or 143, timeout=PATIENCE)
        self._server.login(user, password)
        self._checked(self._server.select(_quoted(folder or "INBOX")))

    def waiting(self) -> Iterator[tuple[str, bytes]]:
        """Those that nobody has seen, without marking them as seen."""
        (found,) = self._checked(self._server.uid("SEARCH", "UNSEEN"))[:1]
        for uid in (found or b"").split()[:AT_ONCE]:
            for part in self._checked(self._server.uid("FETCH", uid.decode(), f"(BODY.PEEK[]<0.{LARGEST}>)")):
                if isinstance(part, tuple):
                    yield uid.decode(), part[1]

    def done(self, name: str, *, was_report: bool) -> None:
        """Mark it as seen, and flag it where it is no report."""
        flags = "(\\Seen)" if was_report else "(\\Seen \\Flagged)"
        self._checked(self._server.uid("STORE", name, "+FLAGS.SILENT", flags))

    def close(self) -> None:
        """Say goodbye."""
        with suppress(imaplib.IMAP4.error, OSError):
            self._server.logout()

    def _checked(self, answer: tuple[str, list]) -> list:  # type: ignore[type-arg]
        status, data = answer
        if status != "OK":
            raise imaplib.IMAP4.error(f"the server answered {status}")
        return data


def open_mailbox(settings: MailboxSettings) -> Mailbox:
    """The mailbox of the settings. Raises DeclarationError for one that is wrong, OSError and IMAP4.error."""
    scheme, _, path = settings.bounce_mailbox.partition(":")
    if scheme == "maildir":
        return Maildir(path)
    if scheme in ("imap", "imaps") and urlsplit(settings.bounce_mailbox).hostname:
        return Imap(settings.bounce_mailbox, settings.bounce_mailbox_password)
    raise DeclarationError(
        f"CARTMESH_BOUNCE_MAILBOX={settings.bounce_mailbox!r}: write maildir:/path or imaps://user@host/INBOX"
    )


def _quoted(folder: str) -> str:
    return '"' + folder.replace("\\", "\\\\").replace('"', '\\"') + '"'
