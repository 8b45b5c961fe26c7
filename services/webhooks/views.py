"""Views: webhooks and attempts as the API answers them."""

from datetime import datetime
from typing import Any

import msgspec

from mesh import Received
from mesh.events.delivery import DeliveryAttempted, Origin, Outcome
from services.webhooks.managing import Managing
from services.webhooks.signing import Kind, shared_secret
from services.webhooks.webhook import Webhook, WebhookForm


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key that signs. `public_key` is what Ed25519 is verified with; the secret of an HMAC is shown once."""

    number: int
    kind: Kind
    created: datetime
    ends: datetime | None
    public_key: str | None


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook. `revision` is what the next change must name; `failing_since` when its endpoint took nothing first.

    `secret` is what its partner verifies with, in the answer that makes it and never again.
    """

    id: str
    revision: int
    webhook: WebhookForm
    active: bool
    disabled: str | None
    failing_since: datetime | None
    created: datetime
    keys: tuple[KeyView, ...]
    secret: str | msgspec.UnsetType = msgspec.UNSET


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt; see `delivery.attempted` in the catalogue. `duration` is in milliseconds."""

    at: datetime
    delivery_id: str
    event_id: str
    event_type: str
    attempt: int
    outcome: Outcome
    origin: Origin
    duration: float
    status: int | None
    error: str | None
    answer: str | None
    next_attempt: datetime | None


class ChangeWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook as it shall be, over the revision that was read."""

    revision: int
    webhook: WebhookForm


class Rotate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how many hours the keys before the new one still sign."""

    grace_hours: float = 24.0


class Replay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From when on and before when (RFC 3339, with a zone) what happened is delivered again."""

    since: datetime
    until: datetime


class SendAgain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A delivery of the log."""

    delivery_id: str


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What was begun, by its id: the event of a test, a delivery, or a replay."""

    id: str


def view(managing: Managing, webhook: Webhook, *, secret: str | None = None, whole_url: bool) -> WebhookView:
    """A webhook as it is; without `whole_url` only the host of its URL."""
    failing = managing.health.failing.get(webhook.id)
    form = webhook.form if whole_url else _for_viewers(webhook)
    return WebhookView(
        id=webhook.id,
        revision=managing.revision(webhook.id),
        webhook=form,
        active=webhook.active,
        disabled=webhook.disabled,
        failing_since=failing.since if failing else None,
        created=webhook.created,
        keys=tuple(_key(managing, webhook, key) for key in webhook.keys),
        secret=msgspec.UNSET if secret is None else secret,
    )


def _for_viewers(webhook: Webhook) -> WebhookForm:
    scheme = webhook.form.url.partition("://")[0]
    return msgspec.structs.replace(webhook.form, url=f"{scheme}://{webhook.host}/...", user="")


def attempt_view(received: Received[DeliveryAttempted]) -> AttemptView:
    """An attempt as it was noted."""
    fields: dict[str, Any] = {
        name: getattr(received.event, name) for name in AttemptView.__struct_fields__ if name != "at"
    }
    return AttemptView(at=received.time, **fields)


def _key(managing: Managing, webhook: Webhook, key: Any) -> KeyView:
    public = shared_secret(managing.webhooks.secrets[0], webhook.id, key) if key.kind == "ed25519" else None
    return KeyView(number=key.number, kind=key.kind, created=key.created, ends=key.ends, public_key=public)
