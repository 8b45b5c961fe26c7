"""Inbox view: what the page shows of a mail, and how the mail is looked at: its width, light or dark, HTML or text."""

import re
from email.message import EmailMessage
from typing import Literal
from urllib.parse import urlencode

import msgspec

from notifications.inbox.store import Inbox, Mail

Part = Literal["html", "text"]
Width = Literal["390", "640", "full"]
Scheme = Literal["light", "dark"]
WIDTHS: dict[Width, str] = {"390": "390 px", "640": "640 px", "full": "Full width"}
SCHEMES: dict[Scheme, str] = {"light": "Light", "dark": "Dark"}
PARTS: dict[Part, str] = {"html": "HTML", "text": "Text"}
_scheme = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(dark|light)\s*\)")


class View(msgspec.Struct, frozen=True, kw_only=True):
    """How a mail is looked at."""

    part: Part = "html"
    width: Width = "640"
    scheme: Scheme = "light"

    def query(self, **changes: str) -> str:
        """`?width=390`: this view with changes, as the end of an address; without what is as it is at first."""
        chosen = {**msgspec.structs.asdict(self), **changes}
        first = msgspec.structs.asdict(View())
        kept = {name: value for name, value in chosen.items() if value != first[name]}
        return f"?{urlencode(kept)}" if kept else ""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as its reader sees it: the addresses as they are written in it, and what else may be asked of it.

    `decision` is the address of the decision that caused it; None where no console is known.
    """

    mail: Mail
    sender: str
    to: str
    text: str
    size: int
    decision: str | None


def opened(box: Inbox, mail: Mail, console: str) -> Opened:
    """A mail, parsed; `console` is the base URL of the console, empty where there is none."""
    message = box.opened(mail)
    offer = mail.offer_id
    return Opened(
        mail=mail,
        sender=str(message.get("From") or mail.sender),
        to=str(message.get("To") or ", ".join(mail.recipients)),
        text=part(message, "plain"),
        size=len(part(message, "html").encode()),
        decision=f"{console}/board?{urlencode({'offer': offer})}" if console and offer else None,
    )


def part(message: EmailMessage, kind: str) -> str:
    """A mail's HTML or plain text."""
    found = message.get_body((kind,))
    return str(found.get_content()) if found else "This mail has no such part."


def in_scheme(html: str, scheme: Scheme) -> str:
    """HTML as a mail program in light or in dark mode shows it, whatever the browser that looks prefers."""
    return _scheme.sub(lambda found: "(min-width: 0)" if found[1] == scheme else "(max-width: 0)", html)
