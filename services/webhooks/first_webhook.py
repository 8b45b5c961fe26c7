"""First webhook: a mesh on one machine has a webhook from its start, so that there is something to look at."""

from datetime import UTC, datetime

import msgspec

from mesh.errors import Conflict
from services.webhooks.current_webhooks import SYSTEM, CurrentWebhooks
from services.webhooks.signing import SigningKey
from services.webhooks.webhook import Webhook, WebhookForm

ID = "whfirst"


class FirstSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`webhook_first` is a URL that gets all events where there was never a webhook; `cartmesh up` sets it."""

    webhook_first: str = ""


async def make_first(settings: FirstSettings, webhooks: CurrentWebhooks) -> None:
    """Make it, unless there is or was a webhook. In several regions at once they make the same one."""
    if not settings.webhook_first or webhooks.any_ever:
        return
    now = datetime.now(UTC)
    form = WebhookForm(name="Webhook receiver", url=settings.webhook_first)
    keys = (SigningKey(number=1, kind=form.signature, created=now),)
    try:
        await webhooks.publish(ID, Webhook(id=ID, form=form, created=now, keys=keys), author=SYSTEM, expected=0)
    except Conflict:
        return  # somebody was quicker
