"""Postmark: name and password in the address that it was given (https://postmarkapp.com/developer/webhooks).

It signs nothing, and no time can be proven: what comes again is known by its id.
"""

import hmac
from base64 import b64decode
from binascii import Error

from mesh.envelope import derive_id
from notifications.mail_reports.providers.webhook import (
    NotUnderstood,
    Proven,
    Unproven,
    WebhookSettings,
    decoded,
    text,
)
from notifications.mail_reports.report import MailReport, enhanced_status

NAME = "postmark"
HARD = ("HardBounce", "BadEmailAddress")
SOFT = ("SoftBounce", "Transient", "DnsError", "Blocked", "SpamNotification", "SMTPApiError", "Unknown")
"""Types of bounces; the others, such as AutoResponder, are none."""


def prove(body: bytes, authorization: str | None, settings: WebhookSettings) -> Proven:
    """What a webhook says. Raises Unproven, NotUnderstood."""
    if not settings.postmark_webhook_password:
        raise Unproven("CARTMESH_POSTMARK_WEBHOOK_PASSWORD is not set here")
    scheme, _, given = (authorization or "").partition(" ")
    try:
        offered = b64decode(given.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (Error, ValueError):
        offered = b""
    right = f"{settings.postmark_webhook_user}:{settings.postmark_webhook_password}".encode()
    if not hmac.compare_digest(right, offered):
        raise Unproven("name and password are not those that are set")
    said = decoded(body)
    if not isinstance(said, dict):
        raise NotUnderstood("the body is no object")
    report = _report(said)
    return Proven(reports=(report,) if report else ())


def _report(said: dict[str, object]) -> MailReport | None:
    about, kind, address = text(said, "RecordType"), text(said, "Type"), text(said, "Email")
    report = derive_id(NAME, text(said, "ID"), address, about, text(said, "BouncedAt"))
    if about == "SpamComplaint" or (about == "Bounce" and kind == "SpamComplaint"):
        return MailReport(about="complaint", id=report, source=NAME, address=address)
    if about != "Bounce" or kind not in HARD + SOFT:
        return None
    words = text(said, "Details") or text(said, "Description")
    return MailReport(
        about="bounce",
        id=report,
        source=NAME,
        address=address,
        hard=kind in HARD,
        status=enhanced_status("", words),
        reason=words,
    )
