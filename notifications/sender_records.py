"""Sender records: what public DNS must say of a shop's domain, so that receivers trust its mails (SPF, DKIM, DMARC)."""

from base64 import b64decode
from binascii import Error
from collections.abc import Iterator
from email.utils import parseaddr
from typing import Literal

import msgspec

LONGEST_PART = 255
"""Bytes of one string of a TXT record; longer values are several strings, which are read as one (RFC 6376 3.6.2.2)."""
ED25519 = 32
"""Bytes of such a public key, and of no RSA key."""
HERE = ("", "127.0.0.1", "::1", "localhost")


class SenderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`dkim_public_key`: the public half of `dkim_key`, as `cartmesh mail-keys` prints it.

    `spf_senders`: who sends the shop's mails, in the words of SPF (`include:_spf.provider.com`, `ip4:203.0.113.7`), as
    the mail provider says; empty: the host of `smtp_host`. `dmarc_reports`: the address that receivers send reports to.
    """

    dkim_selector: str = ""
    dkim_domain: str = ""
    dkim_public_key: str = ""
    spf_senders: tuple[str, ...] = ()
    dmarc_reports: str = ""


class SenderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One TXT record: under which name, and its value; empty where a setting is missing that it needs."""

    kind: Literal["SPF", "DKIM", "DMARC"]
    name: str
    value: str

    @property
    def zone_line(self) -> str:
        """As a zone file has it: the value in strings of at most 255 bytes."""
        value = self.value
        parts = [value[at : at + LONGEST_PART] for at in range(0, len(value), LONGEST_PART)]
        return f"{self.name}. IN TXT ( " + " ".join(f'"{part}"' for part in parts) + " )"


def sender_records(settings: SenderSettings, *, mail_from: str, smtp_host: str) -> tuple[SenderRecord, ...]:
    """The three records for a sender's address."""
    domain = domain_of(mail_from)
    signing = _ascii(settings.dkim_domain) or domain
    key = "".join(settings.dkim_public_key.split())
    selector = settings.dkim_selector.strip()
    return (
        SenderRecord(kind="SPF", name=domain, value=_spf(settings, smtp_host)),
        SenderRecord(
            kind="DKIM",
            name=f"{selector}._domainkey.{signing}" if selector else "",
            value=f"v=DKIM1; k={key_kind(key)}; p={key}" if selector and key else "",
        ),
        SenderRecord(kind="DMARC", name=f"_dmarc.{domain}", value="; ".join(_dmarc(settings))),
    )


def domain_of(mail_from: str) -> str:
    """The domain of a sender's address, as DNS has it."""
    return _ascii(parseaddr(mail_from)[1].rpartition("@")[2])


def key_kind(public_key: str) -> Literal["rsa", "ed25519"]:
    """Of which kind a public key is, by its length."""
    try:
        return "ed25519" if len(b64decode(public_key)) == ED25519 else "rsa"
    except (Error, ValueError):
        return "rsa"


def _spf(settings: SenderSettings, smtp_host: str) -> str:
    """Servers that are not named are to be doubted (`~all`): DMARC decides, also about mails that were forwarded."""
    senders = settings.spf_senders or (() if smtp_host.lower() in HERE else (f"a:{smtp_host.lower()}",))
    return " ".join(("v=spf1", *senders, "~all")) if senders else ""


def _dmarc(settings: SenderSettings) -> Iterator[str]:
    yield "v=DMARC1"
    yield "p=none"
    if settings.dmarc_reports:
        yield f"rua=mailto:{settings.dmarc_reports}"


def _ascii(name: str) -> str:
    """In lower case and IDNA; a name that cannot be, as it is."""
    name = name.strip().rstrip(".").lower()
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name
