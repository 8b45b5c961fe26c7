"""Deliverer: sends what is due, each webhook by itself, so that an endpoint that does not answer slows no other.

The server has a timer for every delivery before it is attempted, and each attempt cancels or replaces the timer in the
commit that notes it. Whenever a process ends, the timers bring back what it had not done: nothing is lost, and what was
sent without being noted is sent again with the same `webhook-id`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import msgspec

from mesh import Cancel, Mesh, Timer
from mesh.errors import InvalidEvent, MeshError
from mesh.events.delivery import DeliveryAttempted, DeliveryDue, Outcome
from mesh.observability.logs import log
from mesh.publish import Change
from services.webhooks.attempt_metrics import ATTEMPTS, WAITED
from services.webhooks.attempt_writer import AttemptWriter
from services.webhooks.checked_network import CheckedNetwork
from services.webhooks.current_webhooks import CurrentWebhooks, InForce
from services.webhooks.delivery_settings import DeliverySettings
from services.webhooks.endpoint_client import EndpointClient, Response
from services.webhooks.endpoint_health import EndpointHealth
from services.webhooks.endpoint_queue import EndpointQueue, Job
from services.webhooks.partner_events import PARTNER_EVENTS, body
from services.webhooks.retry_schedule import next_attempt
from services.webhooks.signing import headers

TOGETHER = 400
"""The most timers in one commit."""
MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"
NO_LONGER = "the event is no longer stored"


class Deliverer:
    """The deliveries of one process. Make one with `open_deliverer`."""

    def __init__(
        self, mesh: Mesh, webhooks: CurrentWebhooks, health: EndpointHealth, settings: DeliverySettings
    ) -> None:
        self._mesh, self._webhooks, self._health, self._settings = mesh, webhooks, health, settings
        self._retries = settings.retries
        self._lease, self._deadline = settings.webhook_lease.total_seconds(), settings.webhook_deadline.total_seconds()
        self._network = CheckedNetwork(private=settings.webhook_private_addresses)
        self._tls = httpx.create_ssl_context()
        self._clients: dict[str, EndpointClient] = {}
        self._queues: dict[str, EndpointQueue] = {}
        self._held: set[str] = set()
        self._workers: set[asyncio.Task[None]] = set()
        self.writer = AttemptWriter(mesh)
        self._clock = asyncio.get_running_loop().time

    async def take(self, jobs: Iterable[Job]) -> None:
        """Take responsibility for deliveries: once this returns, the server will bring back those that are not done.

        Raises Unavailable; then none is taken.
        """
        now, clock = datetime.now(UTC), self._clock()
        kept: list[Job] = []
        timers: dict[str, Timer] = {}
        for job in jobs:
            pause = self._pause(job, clock)
            if pause is None and job.due.delivery_id not in self._held:
                self._held.add(job.due.delivery_id)
                self._queue(job.due.webhook_id).reserved += 1
                job.lease = clock + self._lease
                kept.append(job)
            after = self._lease if pause is None else pause
            timers[job.due.delivery_id] = Timer(job.due, now + timedelta(seconds=after))
        try:
            await self._store(list(timers.values()))
        except BaseException:
            for job in kept:
                self._release(job, reserved=True)
            raise
        for job in kept:
            queue = self._queue(job.due.webhook_id)
            queue.reserved -= 1
            queue.waiting.append(job)
            self._start_workers(job.due.webhook_id, queue)

    async def skip(self, due: DeliveryDue, reason: str) -> None:
        """Note that a delivery is not sent, and will not be."""
        await self._note(due, Response(duration=0.0, error=reason), "skipped", None)

    async def close(self) -> None:
        """Stop. What was begun is left to the timers, except for attempts that are finished within a moment."""
        for queue in self._queues.values():
            queue.waiting.clear()
        if self._workers:
            await asyncio.wait(self._workers, timeout=2.0)
        for worker in self._workers:
            worker.cancel()
        try:
            async with asyncio.timeout(5):
                await self.writer.flush()
        except TimeoutError:
            log.warning("some attempts were not noted; they are made again")
        for client in self._clients.values():
            await client.close()
        self._network.close()

    # Queues

    def _pause(self, job: Job, clock: float) -> float | None:
        found = self._webhooks.active(job.due.webhook_id)
        throttle = found.webhook.form.throttle if found else None
        pause = self._queue(job.due.webhook_id).pause(clock, throttle, self._lease)
        if pause is None and len(self._held) >= self._settings.webhook_queue:
            return 5.0
        return pause

    def _queue(self, webhook_id: str) -> EndpointQueue:
        return self._queues.setdefault(webhook_id, EndpointQueue())

    async def _store(self, timers: list[Timer]) -> None:
        for at in range(0, len(timers), TOGETHER):
            await self._mesh.publish(*timers[at : at + TOGETHER])

    def _release(self, job: Job, *, reserved: bool = False) -> None:
        self._held.discard(job.due.delivery_id)
        if reserved:
            self._queue(job.due.webhook_id).reserved -= 1

    def _start_workers(self, webhook_id: str, queue: EndpointQueue) -> None:
        found = self._webhooks.active(webhook_id)
        throttle = found.webhook.form.throttle if found else None
        while queue.more_workers(self._settings.webhook_connections, throttle):
            queue.workers += 1
            worker = asyncio.create_task(self._work(queue, queue.waiting.popleft()))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self, queue: EndpointQueue, job: Job) -> None:
        """Deliver one after the other until none waits."""
        webhook_id = job.due.webhook_id
        try:
            while True:
                try:
                    await self._deliver(queue, job)
                except MeshError as error:  # its timer is still there
                    log.warning("a delivery is left to its timer", delivery=job.due.delivery_id, error=str(error))
                finally:
                    self._release(job)
                if not queue.waiting:
                    return
                job = queue.waiting.popleft()
        finally:
            queue.workers -= 1
            if queue.is_idle:
                self._queues.pop(webhook_id, None)

    # One delivery

    async def _deliver(self, queue: EndpointQueue, job: Job) -> None:
        due = job.due
        found = self._webhooks.active(due.webhook_id)
        if found is None:
            await self.skip(due, "the webhook was disabled or deleted")
            return
        await queue.turn(found.webhook.form.throttle)
        if self._clock() + self._deadline > job.lease:
            return  # the server brings it again
        content = job.body or await self._content(due)
        if content is None:
            await self._note(due, Response(duration=0.0, error=NO_LONGER), "given_up", None)
            return
        if job.stored is not None:
            WAITED.observe(max(0.0, (datetime.now(UTC) - job.stored).total_seconds()))
        response = await self._send(found, due, content)
        await self._judge(queue, found, due, response)

    async def _send(self, found: InForce, due: DeliveryDue, content: bytes) -> Response:
        now = datetime.now(UTC)
        signed = headers(
            content,
            message_id=due.event_id,
            at=now,
            webhook_id=due.webhook_id,
            keys=found.webhook.keys,
            secrets=self._webhooks.secrets,
        )
        client = self._clients.get(due.webhook_id)
        if client is None:
            client = self._clients[due.webhook_id] = EndpointClient(self._network, self._settings, self._tls)
        all_headers = {"Content-Type": MEDIA_TYPE, "User-Agent": "Cartmesh-Webhooks/1", **signed}
        return await client.send(found.webhook.form.url, all_headers, content)

    async def _judge(self, queue: EndpointQueue, found: InForce, due: DeliveryDue, response: Response) -> None:
        """Note an attempt, and what follows from it."""
        if response.delivered:
            queue.succeeded()
            await self._health.succeeded(due.webhook_id)
            await self._note(due, response, "delivered", None)
            return
        now = datetime.now(UTC)
        for given_back in queue.failed(self._clock()):
            self._release(given_back)
        if response.gone:
            await self._note(due, response, "given_up", None)
            await self._webhooks.disable(due.webhook_id, "the endpoint answered 410: it wants nothing more", None)
            return
        at = next_attempt(
            due.attempt,
            self._retries,
            now=now,
            retry_after=response.retry_after if response.status in (429, 503) else None,
            longest=self._settings.webhook_longest_pause,
        )
        await self._note(due, response, "failed" if at else "given_up", at)
        await self._health.failed(due.webhook_id, now, response.error or "")
        await self._disable_what_fails_for_long(found, now)

    async def _disable_what_fails_for_long(self, found: InForce, now: datetime) -> None:
        id_, longest = found.webhook.id, self._settings.webhook_disabled_after
        known = self._health.failing.get(id_)
        if known is None or known.since is None or now - known.since < longest:
            return
        since = await self._health.failing_since(id_)
        if since is not None and now - since >= longest:
            days = longest.total_seconds() / 86400
            await self._webhooks.disable(id_, f"the endpoint took nothing for {days:g} days: {known.error}", since)

    async def _note(self, due: DeliveryDue, response: Response, outcome: Outcome, next_at: datetime | None) -> None:
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
        following: Change = Cancel(DeliveryDue, due.delivery_id)
        if next_at is not None:
            following = Timer(msgspec.structs.replace(due, attempt=due.attempt + 1), next_at)
        ATTEMPTS.labels(outcome).inc()
        await self.writer.put((attempted, following))

    async def _content(self, due: DeliveryDue) -> bytes | None:
        """What is sent, read again from where it is stored; None where it is no longer."""
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


@asynccontextmanager
async def open_deliverer(
    mesh: Mesh, webhooks: CurrentWebhooks, health: EndpointHealth, settings: DeliverySettings
) -> AsyncIterator[Deliverer]:
    """A deliverer at work until the block ends."""
    deliverer = Deliverer(mesh, webhooks, health, settings)
    writing = asyncio.create_task(deliverer.writer.run())
    try:
        yield deliverer
    finally:
        await deliverer.close()
        writing.cancel()
