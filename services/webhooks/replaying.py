"""Replaying: what happened in a time is delivered to a webhook again, no faster than it takes it."""

import asyncio
from collections.abc import AsyncIterator

from mesh import Mesh, Received
from mesh.event import declaration_of
from mesh.events.delivery import DeliveryDue
from mesh.events.webhook import WebhookReplayRequested
from mesh.mesh import readable
from mesh.observability.logs import log
from mesh.partner_events import PARTNER_EVENTS, attributes
from mesh.subjects import every
from services.webhooks.current_webhooks import CurrentWebhooks, InForce
from services.webhooks.deliverer import Deliverer
from services.webhooks.endpoint_queue import Job
from services.webhooks.lanes import lane_id
from services.webhooks.planning import due

TOGETHER = 100
ROOM = 0.05
"""Seconds after which it is looked again whether there is room."""


async def replay(
    requested: WebhookReplayRequested, mesh: Mesh, webhooks: CurrentWebhooks, deliverer: Deliverer
) -> None:
    """Deliver again what was requested. Ends early where the webhook is disabled or deleted.

    Called again after its process ended, it begins anew: what was sent is sent again, with the same ids. With strict
    order each key begins again at its first event of that time, and goes on to the newest.
    """
    found = webhooks.active(requested.webhook_id)
    if found is None:
        log.info("a replay is dropped: the webhook is disabled or deleted", webhook=requested.webhook_id)
        return
    waiting: list[Job] = []
    rewound: set[str] = set()
    async for event in _events(requested, found, mesh):
        if found.webhook.form.ordered:
            waiting += await _rewind(event, found, mesh, deliverer, rewound)
        else:
            waiting.append(Job(due=due(event, found, mesh, origin="replay", again=requested.replay_id)))
        if len(waiting) >= TOGETHER:
            await _hand_over(waiting, deliverer, webhooks)
            waiting = []
    await _hand_over(waiting, deliverer, webhooks)


async def _events(requested: WebhookReplayRequested, found: InForce, mesh: Mesh) -> AsyncIterator[Received]:
    """What the webhook gets of that time, from each stream in order."""
    places: dict[str, list[str]] = {}
    for declaration in map(declaration_of, PARTNER_EVENTS):
        if not found.webhook.form.types or declaration.type in found.webhook.form.types:
            stream = mesh.layout.stream_of(declaration, mesh.region)
            places.setdefault(stream, []).append(every(declaration, region=mesh.region))
    for stream, filters in places.items():
        async for message in mesh.broker.read(stream, filters, since=requested.since):
            if message.stored >= requested.until:
                break
            for one in readable([message]):
                if found.matches(attributes(one)):
                    yield one


async def _rewind(event: Received, found: InForce, mesh: Mesh, deliverer: Deliverer, rewound: set[str]) -> list[Job]:
    """Begin the event's lane again there, and have it worked on."""
    planned: DeliveryDue = due(event, found, mesh)
    id_ = lane_id(found.webhook.id, planned.key or "")
    if id_ in rewound:
        return []
    rewound.add(id_)
    await deliverer.lanes.rewind(id_, planned.stream, planned.sequence)
    return [Job(due=planned)]


async def _hand_over(jobs: list[Job], deliverer: Deliverer, webhooks: CurrentWebhooks) -> None:
    """Have deliveries made once there is room for them; dropped where the webhook is no longer active."""
    while jobs and not deliverer.has_room(jobs[0].due.webhook_id):
        if webhooks.active(jobs[0].due.webhook_id) is None:
            return
        await asyncio.sleep(ROOM)
    if jobs:
        await deliverer.take(jobs)
