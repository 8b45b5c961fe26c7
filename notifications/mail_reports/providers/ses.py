"""Amazon SES: notifications by SNS, signed with a certificate that Amazon publishes.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html. The message
names the certificate's address. It is fetched only from SNS itself, over TLS, without redirects, and only for a topic
that is set here, so that a forged message makes nobody fetch anything from elsewhere.
"""

import re
from base64 import b64decode
from binascii import Error
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from cachetools import LRUCache
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from mesh.envelope import derive_id
from notifications.mail_reports.providers.webhook import (
    NotUnderstood,
    Proven,
    Unproven,
    WebhookSettings,
    decoded,
    fresh,
    mail_of,
    reference_of,
    text,
)
from notifications.mail_reports.report import MailReport, enhanced_status, is_hard

NAME = "ses"
Fetch = Callable[[str], Awaitable[bytes]]
"""Gets what is at an address that `is_sns` allows. Raises Unproven where it cannot be had."""
_host = re.compile(r"sns\.[a-z0-9-]{3,30}\.amazonaws\.com(?:\.cn)?").fullmatch
NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
SUBSCRIPTION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
"""The fields that are signed, in this order, where they are there."""
HASHES: dict[str, HashAlgorithm] = {"1": SHA1(), "2": SHA256()}  # noqa: S303  version 1 is what SNS signs by default


def is_sns(url: str, *, path: str = "") -> bool:
    """Whether an address is one of SNS itself; `path` is what its path must end with."""
    try:
        parts = urlsplit(url)
        return bool(parts.scheme == "https" and _host(parts.netloc) and parts.path.endswith(path) and url.isprintable())
    except ValueError:
        return False


class Certificates:
    """The keys of Amazon's certificates, each fetched once."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._known: LRUCache[str, x509.Certificate] = LRUCache(16)

    async def key(self, url: str) -> RSAPublicKey:
        """The key at an address of SNS. Raises Unproven."""
        if not is_sns(url, path=".pem"):
            raise Unproven("the certificate is not at an address of Amazon SNS")
        if url not in self._known:
            try:
                self._known[url] = x509.load_pem_x509_certificate(await self._fetch(url))
            except ValueError:
                raise Unproven("what is at the certificate's address is none") from None
        certificate = self._known[url]
        if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
            self._known.pop(url)
            raise Unproven("the certificate is not valid now")
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            raise Unproven("the certificate has no RSA key")
        return key


async def prove(
    body: bytes,
    certificates: Certificates,
    settings: WebhookSettings,
    secrets: tuple[str | None, ...],
    now: datetime | None = None,
) -> Proven:
    """What a message says. Raises Unproven, NotUnderstood."""
    said = decoded(body)
    topic, kind = text(said, "TopicArn"), text(said, "Type")
    if topic not in settings.ses_topics:
        raise Unproven("the topic is none of CARTMESH_SES_TOPICS")
    algorithm = HASHES.get(text(said, "SignatureVersion"))
    if algorithm is None:
        raise Unproven("the signature is of a version that is not known")
    key = await certificates.key(text(said, "SigningCertURL"))
    try:
        key.verify(b64decode(text(said, "Signature"), validate=True), signed_text(said), PKCS1v15(), algorithm)
        at = datetime.fromisoformat(text(said, "Timestamp"))
    except (InvalidSignature, Error, ValueError):
        raise Unproven("the signature does not match") from None
    fresh(at.replace(tzinfo=at.tzinfo or UTC).timestamp(), settings.mail_webhook_age, now)
    if kind == "SubscriptionConfirmation":
        url = text(said, "SubscribeURL")
        if not is_sns(url):
            raise Unproven("the address that confirms is not one of Amazon SNS")
        return Proven(confirm=url)
    return Proven(
        reports=tuple(_reports(decoded(text(said, "Message").encode()), secrets)) if kind == "Notification" else ()
    )


def signed_text(said: Any) -> bytes:
    """What the signature is of: name and value of each field, one a line."""
    names = NOTIFICATION if text(said, "Type") == "Notification" else SUBSCRIPTION
    return "".join(f"{name}\n{text(said, name)}\n" for name in names if name in said).encode()


def _reports(message: Any, secrets: tuple[str | None, ...]) -> list[MailReport]:
    if not isinstance(message, dict):
        raise NotUnderstood("the message is no object")
    kind = text(message, "notificationType") or text(message, "eventType")
    part = message.get(kind.lower()) if kind in ("Bounce", "Complaint") else None
    if not isinstance(part, dict):
        return []
    recipients = part.get("bouncedRecipients" if kind == "Bounce" else "complainedRecipients")
    headers = _headers(message)
    reference = reference_of(headers.get("x-cartmesh-mail", ""), secrets)
    mail = mail_of(headers.get("message-id", ""))
    made = []
    for one in recipients if isinstance(recipients, list) else []:
        address = text(one, "emailAddress")
        words, status = text(one, "diagnosticCode"), text(one, "status")
        bounce = kind == "Bounce"
        made.append(
            MailReport(
                about="bounce" if bounce else "complaint",
                id=derive_id(NAME, text(part, "feedbackId"), address),
                source=NAME,
                address=address,
                reference=reference,
                mail=mail,
                hard=bounce and text(part, "bounceType") == "Permanent" and (not status or is_hard(status, words)),
                status=enhanced_status(status, words),
                reason=words,
                kind=text(part, "complaintFeedbackType")[:40] or "abuse",
            )
        )
    return made


def _headers(message: dict[str, Any]) -> dict[str, str]:
    """The headers of the mail that it is about, where the topic includes them, with names in lower case."""
    mail = message.get("mail")
    listed = mail.get("headers") if isinstance(mail, dict) else None
    return (
        {text(one, "name").lower(): text(one, "value") for one in listed if isinstance(one, dict)}
        if isinstance(listed, list)
        else {}
    )
