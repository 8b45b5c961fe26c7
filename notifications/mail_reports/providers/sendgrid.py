"""SendGrid: ECDSA (P-256, SHA-256) of the time and the body with a key of which ours is the public half.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

from base64 import b64decode
from binascii import Error
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mesh.envelope import derive_id
from mesh.errors import DeclarationError
from notifications.mail_reports.providers.webhook import (
    MOST_EVENTS,
    NotUnderstood,
    Proven,
    Unproven,
    WebhookSettings,
    decoded,
    fresh,
    mail_of,
    text,
)
from notifications.mail_reports.report import MailReport, enhanced_status, is_hard

NAME = "sendgrid"
SIGNATURE, TIMESTAMP = "x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"


def public_key(settings: WebhookSettings) -> EllipticCurvePublicKey | None:
    """The key of the settings, or None. Raises DeclarationError for one that is wrong."""
    if not settings.sendgrid_webhook_key:
        return None
    try:
        key = load_der_public_key(b64decode(settings.sendgrid_webhook_key, validate=True))
    except (ValueError, Error):
        key = None
    if not isinstance(key, EllipticCurvePublicKey):
        raise DeclarationError(
            "CARTMESH_SENDGRID_WEBHOOK_KEY is no public key: copy it from SendGrid's settings of the event webhook"
        )
    return key


def prove(
    body: bytes,
    headers: Mapping[str, str],
    key: EllipticCurvePublicKey | None,
    settings: WebhookSettings,
    now: datetime | None = None,
) -> Proven:
    """What a webhook says. Raises Unproven, NotUnderstood."""
    if key is None:
        raise Unproven("CARTMESH_SENDGRID_WEBHOOK_KEY is not set here")
    at = headers.get(TIMESTAMP, "")
    try:
        key.verify(b64decode(headers.get(SIGNATURE, ""), validate=True), at.encode() + body, ECDSA(SHA256()))
    except (InvalidSignature, Error, ValueError):
        raise Unproven("the signature does not match") from None
    if not at.isascii() or not at.isdigit() or len(at) > 12:
        raise Unproven("the time is none")
    fresh(int(at), settings.mail_webhook_age, now)
    said = decoded(body)
    if not isinstance(said, list) or len(said) > MOST_EVENTS:
        raise NotUnderstood(f"the body is no list of at most {MOST_EVENTS} events")
    return Proven(reports=tuple(report for one in said if isinstance(one, dict) and (report := _report(one))))


def _report(one: dict[str, Any]) -> MailReport | None:
    event, address = text(one, "event"), text(one, "email")
    if event not in ("bounce", "spamreport"):
        return None
    report = derive_id(NAME, text(one, "sg_event_id"), address, event, text(one, "timestamp"))
    mail = mail_of(text(one, "smtp-id"))
    if event == "spamreport":
        return MailReport(about="complaint", id=report, source=NAME, address=address, mail=mail)
    words, status = text(one, "reason"), text(one, "status")
    return MailReport(
        about="bounce",
        id=report,
        source=NAME,
        address=address,
        mail=mail,
        hard=text(one, "type") != "blocked" and is_hard(status, words),
        status=enhanced_status(status, words),
        reason=words,
    )
