"""Planning: which webhooks an event goes to, as deliveries that have still to be made."""

from collections.abc import Iterable, Iterator

from mesh import Received
from mesh.envelope import derive_id
from mesh.event import declaration_of
from mesh.events.delivery import DeliveryDue, Origin
from mesh.mesh import Mesh
from mesh.partner_events import attributes, body
from services.webhooks.current_webhooks import CurrentWebhooks, InForce
from services.webhooks.endpoint_queue import Job
from services.webhooks.lanes import lane_id


def planned(events: Iterable[Received], webhooks: CurrentWebhooks, mesh: Mesh) -> Iterator[Job]:
    """The deliveries of events to every webhook that gets them. Of one event all share one body."""
    for received in events:
        subscribed = webhooks.subscribed(declaration_of(type(received.event)).type, received.stored)
        if not subscribed:
            continue
        known = attributes(received)
        matching = [one for one in subscribed if one.matches(known)]
        content = body(received) if matching else b""
        for one in matching:
            yield Job(due=due(received, one, mesh), body=content, stored=received.stored)


def due(received: Received, found: InForce, mesh: Mesh, *, origin: Origin = "event", again: str = "") -> DeliveryDue:
    """One delivery. Its id is the same whenever the same is planned; `again` tells repetitions apart.

    With strict order it is that of the event's lane.
    """
    webhook, declaration = found.webhook, declaration_of(type(received.event))
    key = getattr(received.event, declaration.key) if webhook.form.ordered else None
    return DeliveryDue(
        delivery_id=lane_id(webhook.id, key) if key else derive_id(received.id, webhook.id, again),
        webhook_id=webhook.id,
        event_id=received.id,
        event_type=declaration.type,
        key=key,
        stream=mesh.stream_of(type(received.event)),
        sequence=received.sequence,
        origin=origin,
    )
