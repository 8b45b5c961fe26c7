"""Sends events to partners by HTTPS, RabbitMQ, Kafka, SQS and SNS: signed, retried, and nothing that is personal."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from mesh import Mesh, Received, Service
from mesh.binding import Interest
from mesh.event import Event
from mesh.events.delivery import DeliveryAttempted, DeliveryDue
from mesh.events.webhook import WebhookDisabled, WebhookPublished, WebhookReplayRequested
from mesh.partner_events import PARTNER_EVENTS
from mesh.settings import read
from services.webhooks.current_webhooks import CurrentWebhooks
from services.webhooks.deliverer import Deliverer, open_deliverer
from services.webhooks.delivery_settings import DeliverySettings
from services.webhooks.endpoint_health import HEALTH, EndpointHealth
from services.webhooks.endpoint_queue import Job
from services.webhooks.first_webhook import FirstSettings, make_first
from services.webhooks.lanes import LANES
from services.webhooks.managing import Managing
from services.webhooks.planning import planned
from services.webhooks.replaying import replay
from services.webhooks.signing import SecretSettings
from services.webhooks.webhook import WEBHOOKS

if TYPE_CHECKING:
    from mesh.web.console import Console

service = Service(
    "webhooks",
    publishes=(DeliveryAttempted, DeliveryDue, WebhookDisabled, WebhookPublished, WebhookReplayRequested),
    timers=(DeliveryDue,),
    buckets=(WEBHOOKS, HEALTH, LANES),
    secrets=("webhook_signing_secret",),
    alone=True,
    port=8230,
)


@service.resource
async def open_webhooks(mesh: Mesh, interest: Interest) -> AsyncIterator[CurrentWebhooks]:
    """The webhooks in force, once they have been read; of other kinds of event none is delivered here."""
    current = CurrentWebhooks(mesh, read(SecretSettings), partial(interest.want, plan_deliveries))
    following = asyncio.create_task(current.follow())
    try:
        await current.filled.wait()
        yield current
    finally:
        following.cancel()


@service.resource
async def open_health(mesh: Mesh) -> AsyncIterator[EndpointHealth]:
    """Which endpoints fail."""
    health = EndpointHealth(mesh)
    await health.load()
    yield health


@service.resource
async def open_sending(mesh: Mesh, webhooks: CurrentWebhooks, health: EndpointHealth) -> AsyncIterator[Deliverer]:
    """What sends."""
    async with open_deliverer(mesh, webhooks, health, read(DeliverySettings)) as deliverer:
        yield deliverer


@service.resource
async def open_managing(
    mesh: Mesh, webhooks: CurrentWebhooks, health: EndpointHealth, deliverer: Deliverer
) -> AsyncIterator[Managing]:
    """What people do with webhooks."""
    await make_first(read(FirstSettings), webhooks)
    yield Managing(mesh, webhooks, health, deliverer, read(DeliverySettings))


@service.on(
    *PARTNER_EVENTS,
    batch=256,
    linger=timedelta(milliseconds=5),
    ack_wait=timedelta(seconds=10),
    new_only=True,
    as_wanted=True,
)
async def plan_deliveries(
    events: list[Received[Event]], mesh: Mesh, webhooks: CurrentWebhooks, deliverer: Deliverer
) -> None:
    """Deliver what happened in this region to every webhook that gets it."""
    await deliverer.take(planned(events, webhooks, mesh))


@service.on(DeliveryDue, batch=256, linger=timedelta(milliseconds=5), ack_wait=timedelta(seconds=10))
async def deliver_again(due: list[DeliveryDue], webhooks: CurrentWebhooks, deliverer: Deliverer) -> None:
    """Deliver what was not taken before, or not finished."""
    for one in due:
        if webhooks.active(one.webhook_id) is None:
            await deliverer.skip(one, "the webhook was disabled or deleted")
    await deliverer.take(Job(due=one) for one in due if webhooks.active(one.webhook_id))


@service.on(WebhookReplayRequested, concurrency=64)
async def replay_events(
    requested: WebhookReplayRequested, mesh: Mesh, webhooks: CurrentWebhooks, deliverer: Deliverer
) -> None:
    """Deliver again what happened in a time."""
    await replay(requested, mesh, webhooks, deliverer)


@service.on(WebhookPublished, reach="mesh", refills=True)
async def put_in_force(received: Received[WebhookPublished], webhooks: CurrentWebhooks) -> None:
    """Put a webhook that was changed in any region in force here."""
    await webhooks.put_in_force(received)


@service.page("/webhooks", title="Webhooks", role="viewer", section="Operations", position=1)
def webhook_pages(console: "Console", mesh: Mesh, managing: Managing) -> list[Any]:
    """Which partners get which events, whether they take them, and what they answered."""
    from services.webhooks.page import page_routes  # noqa: PLC0415  brings Litestar, which other processes do not need

    return page_routes(console, mesh, managing)
