"""Mail keys: the command that makes a key for signing mails, and says what to publish in DNS and what to set."""

import os
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mesh.errors import DeclarationError
from mesh.settings import read
from notifications.channels.email_message import MailSettings
from notifications.sender_records import SenderRecord, SenderSettings, sender_records

if TYPE_CHECKING:
    from notifications.channels.signer import Key

WHY = {
    "SPF": "which servers may send for this domain",
    "DKIM": "the public half of the key, with which receivers check the signature of each mail",
    "DMARC": "p=none changes nothing yet; once receivers' reports show that all mails pass, p=quarantine or p=reject",
}


def mail_keys(
    *,
    domain: str = "",
    selector: str = "cartmesh",
    kind: Literal["rsa", "ed25519"] = "rsa",
    to: Path | None = None,
) -> None:
    """Make a key for signing mails (DKIM), and print the DNS records to publish and the settings that belong to it.

    Parameters
    ----------
    domain
        Which domain signs; by default that of CARTMESH_MAIL_FROM.
    selector
        The name of the key in DNS; a new key takes a new one, such as `cartmesh2`.
    kind
        `rsa` (2048 bits) is checked by every receiver, `ed25519` by few as yet.
    to
        The file for the private key, by default `dkim-<selector>.pem`. One that is there is never overwritten.

    """
    from notifications.channels.signer import dns_name, signing_domain  # noqa: PLC0415  other commands need no keys
    from notifications.channels.smtp import SmtpSettings  # noqa: PLC0415  as above

    sender, mail = read(SenderSettings), read(MailSettings)
    named = signing_domain(domain or sender.dkim_domain, mail.mail_from)
    selector = dns_name("DKIM_SELECTOR", selector)
    private, public = make_key(kind)
    path = to or Path(f"dkim-{selector}.pem")
    _write(path, private)
    settings = SenderSettings(
        dkim_selector=selector,
        dkim_domain=named,
        dkim_public_key=public,
        spf_senders=sender.spf_senders,
        dmarc_reports=sender.dmarc_reports,
    )
    sender_address = mail.mail_from if not domain else f"mails@{named}"
    records = sender_records(settings, mail_from=sender_address, smtp_host=read(SmtpSettings).smtp_host)
    print(_page(records, path, selector, named, public))


def make_key(kind: Literal["rsa", "ed25519"]) -> tuple[str, str]:
    """A new private key in PEM, and its public half as DNS has it."""
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa  # noqa: PLC0415  other commands need no keys

    made = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ed25519.Ed25519PrivateKey.generate()
    return _pem(made), public_half(made)


def public_half(key: "Key") -> str:
    """The value of `p=` in DNS (RFC 6376 section 3.6.1, RFC 8463 section 4)."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  as above
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415  as above

    encoding, form = serialization.Encoding, serialization.PublicFormat
    if isinstance(key, RSAPrivateKey):
        return b64encode(key.public_key().public_bytes(encoding.DER, form.SubjectPublicKeyInfo)).decode()
    return b64encode(key.public_key().public_bytes(encoding.Raw, form.Raw)).decode()


def _pem(key: "Key") -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  as above

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _write(path: Path, private: str) -> None:
    """The private key in a new file that only its owner reads."""
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise DeclarationError(f"{path} is there already: name another file with --to, or another --selector") from None
    except OSError as error:
        raise DeclarationError(f"{path} cannot be written: {error.strerror}") from None
    with os.fdopen(opened, "w") as file:
        file.write(private)


def _page(records: tuple[SenderRecord, ...], path: Path, selector: str, domain: str, public: str) -> str:
    lines = [f"The private key is in {path}. Keep it secret: whoever has it can sign mails as {domain}.", ""]
    lines += ["Publish these records (TXT) in the DNS of your domain:", ""]
    for record in records:
        lines.append(f"; {record.kind}: {WHY[record.kind]}")
        unknown = "; set CARTMESH_SPF_SENDERS to what your mail provider says, such as include:_spf.example.com"
        lines += [record.zone_line if record.value else unknown, ""]
    lines += [
        "A form that asks for a single value takes the strings without their quotes, joined without spaces.",
        "",
        "Set for `channels`, which signs (the key as a secret):",
        f"CARTMESH_DKIM_KEY={path}",
        "Set for `channels` and `studio`, whose page Sender shows whether DNS has the records:",
        f"CARTMESH_DKIM_SELECTOR={selector}",
        f"CARTMESH_DKIM_DOMAIN={domain}",
        f"CARTMESH_DKIM_PUBLIC_KEY={public}",
    ]
    return "\n".join(lines)
