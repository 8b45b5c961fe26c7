"""Letter: an offer as an e-mail message, ready for the wire."""

import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

import msgspec

from notifications.render import Rendered

_address = re.compile(r"[^\s@<>(),;:\"\[\]\\]{1,64}@[^\s@<>(),;:\"\[\]\\]{1,255}").fullmatch
_anywhere = re.compile(r"[^\s@<>]+@[^\s@<>]+")


class LetterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`mail_domain` is the right half of Message-IDs; empty: that of `mail_from`."""

    mail_from: str = "Cartmesh Shop <offers@shop.example.test>"
    mail_reply_to: str = ""
    mail_domain: str = ""

    def sender(self) -> str:
        """The envelope sender."""
        return parseaddr(self.mail_from)[1]


def recipient(email: str | None) -> str | None:
    """The address as it goes over the wire (domain in IDNA); None when it is none that we can write to."""
    if not email or not _address(email):
        return None
    local, _, domain = email.rpartition("@")
    try:
        return f"{local.encode('ascii').decode()}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return None


def message_id(offer_id: str, settings: LetterSettings) -> str:
    """The same for every attempt, so that a receiver could tell a repetition."""
    return f"<{offer_id}@{settings.mail_domain or settings.sender().rpartition('@')[2]}>"


def compose(rendered: Rendered, *, to: str, offer_id: str, unsubscribe_url: str, settings: LetterSettings) -> bytes:
    """The message with text and HTML, and one-click unsubscribe (RFC 8058, RFC 2369)."""
    letter = EmailMessage(policy=SMTP)
    letter["From"] = settings.mail_from
    letter["To"] = to
    letter["Subject"] = rendered.subject
    letter["Date"] = format_datetime(datetime.now(UTC))
    letter["Message-ID"] = message_id(offer_id, settings)
    if settings.mail_reply_to:
        letter["Reply-To"] = settings.mail_reply_to
    letter["Content-Language"] = rendered.locale.replace("_", "-")
    letter["List-Unsubscribe"] = f"<{unsubscribe_url}>"
    letter["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    letter["X-Cartmesh-Offer"] = offer_id
    letter["Auto-Submitted"] = "auto-generated"
    # base64: long lines survive every server, and encoding takes microseconds where quoted-printable takes milliseconds
    letter.set_content(rendered.text, cte="base64")
    letter.add_alternative(rendered.html, subtype="html", cte="base64")
    return letter.as_bytes()


def without_addresses(text: str) -> str:
    """A server's words without the addresses in them: reasons travel farther than personal data may."""
    return _anywhere.sub("[address]", " ".join(text.split()))[:300]
