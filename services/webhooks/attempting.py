"""Attempting: one attempt to deliver, what its response means, and the note that is stored of it."""

from datetime import UTC, datetime

import msgspec

from mesh import Cancel, Mesh, Timer
from mesh.errors import InvalidEvent
from mesh.events.delivery import DeliveryAttempted, DeliveryDue, Outcome
from mesh.partner_events import PARTNER_EVENTS, body
from mesh.publish import Change
from mesh.web.endpoint_client import Response
from services.webhooks.attempt_metrics import ATTEMPTS
from services.webhooks.attempt_writer import AttemptWriter
from services.webhooks.current_webhooks import CurrentWebhooks, InForce
from services.webhooks.delivery_settings import DeliverySettings
from services.webhooks.destinations.connections import Connections
from services.webhooks.destinations.destination import Message, parts
from services.webhooks.endpoint_health import EndpointHealth
from services.webhooks.retry_schedule import next_attempt
from services.webhooks.signing import headers

ASKING_FOR_TIME = (429, 503)
"""The statuses whose Retry-After is obeyed."""


class Attempting:
    """What all attempts of a process share: connections, keys, and what is known of endpoints."""

    def __init__(
        self, mesh: Mesh, webhooks: CurrentWebhooks, health: EndpointHealth, settings: DeliverySettings
    ) -> None:
        self._mesh, self._webhooks, self._health, self._settings = mesh, webhooks, health, settings
        self._retries = settings.retries
        self._connections = Connections(settings)
        self.writer = AttemptWriter(mesh)

    async def send(self, found: InForce, due: DeliveryDue, content: bytes) -> Response:
        """Make an attempt. What is signed is the body as it is sent."""
        attributes, content_type, sent = parts(content, found.webhook.form.sent_mode)
        signed = headers(
            sent,
            message_id=due.event_id,
            at=datetime.now(UTC),
            webhook_id=due.webhook_id,
            keys=found.webhook.keys,
            secrets=self._webhooks.secrets,
        )
        message = Message(content, attributes=attributes, content_type=content_type, body=sent, signed=signed)
        return await self._connections.to(found.webhook).send(message)

    def next_attempt(self, due: DeliveryDue, response: Response) -> datetime | None:
        """When an attempt that failed is made again; None: never."""
        if response.gone:
            return None
        asked = response.retry_after if response.status in ASKING_FOR_TIME else None
        longest = self._settings.webhook_longest_pause
        return next_attempt(due.attempt, self._retries, now=datetime.now(UTC), retry_after=asked, longest=longest)

    async def learn(self, found: InForce, response: Response) -> None:
        """Remember since when an endpoint fails, and disable a webhook whose endpoint is gone, or failed for days."""
        id_ = found.webhook.id
        if response.delivered:
            await self._health.succeeded(id_)
            return
        if response.gone:
            await self._webhooks.disable(id_, "the endpoint answered 410: it wants nothing more", None)
            return
        now, longest = datetime.now(UTC), self._settings.webhook_disabled_after
        await self._health.failed(id_, now, response.error or "")
        known = self._health.failing.get(id_)
        if known is None or known.since is None or now - known.since < longest:
            return
        since = await self._health.failing_since(id_)  # as all processes know it
        if since is not None and now - since >= longest:
            days = longest.total_seconds() / 86400
            await self._webhooks.disable(id_, f"the endpoint took nothing for {days:g} days: {response.error}", since)

    async def note(
        self, due: DeliveryDue, response: Response, outcome: Outcome, next_at: datetime | None = None
    ) -> None:
        """Have an attempt stored, with the timer of the next one. Without a next one the delivery's timer ends.

        That of a lane does not: it is other events', too.
        """
        attempted = DeliveryAttempted(
            webhook_id=due.webhook_id,
            delivery_id=due.delivery_id,
            event_id=due.event_id,
            event_type=due.event_type,
            stream=due.stream,
            sequence=due.sequence,
            attempt=due.attempt,
            outcome=outcome,
            duration=response.duration,
            status=response.status,
            error=response.error,
            answer=response.answer,
            next_attempt=next_at,
            origin=due.origin,
        )
        changes: list[Change] = [attempted]
        if next_at is not None:
            changes.append(Timer(msgspec.structs.replace(due, attempt=due.attempt + 1), next_at))
        elif due.key is None:
            changes.append(Cancel(DeliveryDue, due.delivery_id))
        ATTEMPTS.labels(outcome).inc()
        await self.writer.put(changes)

    async def content(self, due: DeliveryDue) -> bytes | None:
        """What is sent, read from where it is stored; None where it is no longer."""
        if due.body is not None:
            return due.body.encode()
        message = await self._mesh.broker.get(due.stream, due.sequence)
        if message is None:
            return None
        try:
            received = await self._mesh.received(message)
        except InvalidEvent:
            return None
        return body(received) if received.id == due.event_id and type(received.event) in PARTNER_EVENTS else None

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()
