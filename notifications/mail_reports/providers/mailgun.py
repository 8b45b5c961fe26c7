"""Mailgun: HMAC-SHA256 of a time and a token with the account's signing key.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks. The signature says nothing of the
body, so that a token is good for one body alone: with another one it is refused.
"""

import hmac
from datetime import datetime
from hashlib import sha256
from typing import Any

from mesh.envelope import derive_id
from notifications.mail_reports.providers.webhook import (
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

NAME = "mailgun"


def prove(body: bytes, settings: WebhookSettings, now: datetime | None = None) -> Proven:
    """What a webhook says. Raises Unproven, NotUnderstood."""
    if not settings.mailgun_webhook_key:
        raise Unproven("CARTMESH_MAILGUN_WEBHOOK_KEY is not set here")
    said = decoded(body)
    at, token, given = (text(said, "signature", name) for name in ("timestamp", "token", "signature"))
    right = hmac.new(settings.mailgun_webhook_key.encode(), f"{at}{token}".encode(), sha256).hexdigest()
    if not hmac.compare_digest(right.encode(), given.encode()) or not token:
        raise Unproven("the signature does not match")
    if not at.isascii() or not at.isdigit() or len(at) > 12:
        raise Unproven("the time is none")
    fresh(int(at), settings.mail_webhook_age, now)
    report = _report(said.get("event-data"))
    return Proven(reports=(report,) if report else (), once=derive_id(NAME, token))


def _report(data: Any) -> MailReport | None:
    if not isinstance(data, dict):
        raise NotUnderstood("there is no event-data")
    event, address, named = text(data, "event"), text(data, "recipient"), text(data, "id")
    if event not in ("failed", "complained"):
        return None
    mail = mail_of(text(data, "message", "headers", "message-id"))
    report = derive_id(NAME, named or text(data, "timestamp"), address, event)
    if event == "complained":
        return MailReport(about="complaint", id=report, source=NAME, address=address, mail=mail)
    code = text(data, "delivery-status", "code")
    words = text(data, "delivery-status", "message") or text(data, "delivery-status", "description")
    status = text(data, "delivery-status", "enhanced-code")
    said = f"{code} {words}".strip()
    permanent = text(data, "severity") == "permanent"
    return MailReport(
        about="bounce",
        id=report,
        source=NAME,
        address=address,
        mail=mail,
        hard=permanent and (text(data, "reason") == "suppress-bounce" or is_hard(status, said)),
        status=enhanced_status(status, said),
        reason=said,
    )
