"""Deliverer: sends what is due, each webhook by itself, so that an endpoint that does not answer slows no other.

The server has a timer for every delivery before it is attempted, and each attempt cancels or replaces the timer in the
commit that notes it. Whenever a process ends, the timers bring back what it had not done: nothing is lost, and what was
sent without being noted is sent again with the same `webhook-id`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice

from mesh import Mesh, Timer
from mesh.errors import MeshError
from mesh.events.delivery import DeliveryDue
from mesh.observability.logs import log
from mesh.web.endpoint_client import Response
from services.webhooks.attempt_metrics import WAITED
from services.webhooks.attempting import Attempting
from services.webhooks.current_webhooks import CurrentWebhooks, InForce
from services.webhooks.delivery_settings import DeliverySettings
from services.webhooks.endpoint_health import EndpointHealth
from services.webhooks.endpoint_queue import WAITING, EndpointQueue, Job
from services.webhooks.lane_work import LaneWork
from services.webhooks.lanes import Lanes

TOGETHER = 400
"""The most deliveries that are taken, and timers that are stored, in one commit."""
FULL = 5.0
"""Seconds after which, at the earliest, a delivery comes back that found no room in this process."""
NO_LONGER, NOT_ACTIVE = "the event is no longer stored", "the webhook was disabled or deleted"


class Deliverer:
    """The deliveries of one process. Make one with `open_deliverer`."""

    def __init__(
        self, mesh: Mesh, webhooks: CurrentWebhooks, health: EndpointHealth, settings: DeliverySettings
    ) -> None:
        self._mesh, self._webhooks, self._settings = mesh, webhooks, settings
        self._lease, self._deadline = settings.webhook_lease.total_seconds(), settings.webhook_deadline.total_seconds()
        self.attempting = Attempting(mesh, webhooks, health, settings)
        self.lanes = Lanes(mesh, settings.webhook_lease)
        self._lane_work = LaneWork(mesh, webhooks, self.attempting, self.lanes, self._failed)
        self._queues: dict[str, EndpointQueue] = {}
        self._held: dict[str, Job] = {}
        self._woken: dict[str, DeliveryDue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._clock = asyncio.get_running_loop().time

    async def take(self, jobs: Iterable[Job]) -> None:
        """Take responsibility for deliveries: once this returns, the server will bring back those that are not done.

        Raises Unavailable; then some may not have been taken. However many there are, few are in memory.
        """
        left = iter(jobs)
        while some := list(islice(left, TOGETHER)):
            await self._take(some)

    async def _take(self, jobs: list[Job]) -> None:
        now, clock = datetime.now(UTC), self._clock()
        kept: list[Job] = []
        renewed: list[Job] = []
        timers: dict[str, Timer] = {}
        for job in jobs:
            id_, after = job.due.delivery_id, self._lease
            if id_ in self._held:
                renewed.append(self._held[id_])
                if job.due.key is not None:
                    self._woken[id_] = job.due
            elif (pause := self._pause(job, clock)) is not None:
                after = pause
            else:
                self._held[id_] = job
                self._queue(job.due.webhook_id).reserved += 1
                job.lease = clock + self._lease
                kept.append(job)
            timers[id_] = Timer(job.due, now + timedelta(seconds=after))
        try:
            if timers:
                await self._mesh.publish(*timers.values())
        except BaseException:
            for job in kept:
                self._queue(job.due.webhook_id).reserved -= 1
                self._held.pop(job.due.delivery_id, None)
            raise
        for job in renewed:
            job.lease = clock + self._lease
        for job in kept:
            queue = self._queue(job.due.webhook_id)
            queue.reserved -= 1
            queue.waiting.append(job)
            self._start_workers(job.due.webhook_id, queue)

    async def skip(self, due: DeliveryDue, reason: str) -> None:
        """Note that a delivery is not sent, and will not be."""
        await self.attempting.note(due, Response(duration=0.0, error=reason), "skipped")

    def has_room(self, webhook_id: str) -> bool:
        """Whether more can be taken for a webhook without keeping what happens now from being sent soon."""
        queue = self._queues.get(webhook_id)
        return queue is None or (not queue.failing and len(queue.waiting) + queue.reserved < WAITING // 4)

    async def close(self) -> None:
        """Stop. What was begun is left to the timers, except for attempts that are finished within a moment."""
        for queue in self._queues.values():
            queue.waiting.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2.0)
        for task in self._tasks:
            task.cancel()
        try:
            async with asyncio.timeout(5):
                await self.attempting.writer.flush()
        except TimeoutError:
            log.warning("some attempts were not noted; they are made again")
        await self.attempting.close()

    def _pause(self, job: Job, clock: float) -> float | None:
        """Seconds after which a delivery shall come back; None: it may be taken now."""
        found = self._webhooks.active(job.due.webhook_id)
        throttle = found.webhook.form.throttle if found else None
        pause = self._queue(job.due.webhook_id).pause(clock, throttle, self._lease)
        if pause is None and len(self._held) >= self._settings.webhook_queue:
            return random.uniform(FULL, 2 * FULL)  # noqa: S311  not all at once
        return pause

    def _queue(self, webhook_id: str) -> EndpointQueue:
        return self._queues.setdefault(webhook_id, EndpointQueue())

    def _begin(self, work: "asyncio.Task[None]") -> None:
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)

    def _start_workers(self, webhook_id: str, queue: EndpointQueue) -> None:
        found = self._webhooks.active(webhook_id)
        throttle = found.webhook.form.throttle if found else None
        while queue.more_workers(self._settings.webhook_connections, throttle):
            queue.workers += 1
            self._begin(asyncio.create_task(self._work(queue, queue.waiting.popleft())))

    async def _work(self, queue: EndpointQueue, job: Job) -> None:
        """Deliver one after the other until none waits."""
        webhook_id = job.due.webhook_id
        try:
            while True:
                try:
                    await self._deliver(queue, job)
                except MeshError as error:  # its timer is still there
                    log.warning("a delivery is left to its timer", delivery=job.due.delivery_id, error=str(error))
                except Exception as error:  # noqa: BLE001  a defect with one delivery keeps no other from being sent
                    log.error("a delivery failed here", delivery=job.due.delivery_id, exc_info=error)
                finally:
                    self._release(job)
                if not queue.waiting:
                    return
                job = queue.waiting.popleft()
        finally:
            queue.workers -= 1
            if queue.is_idle:
                self._queues.pop(webhook_id, None)

    def _release(self, job: Job) -> None:
        """It is no longer held here; a lane that was woken meanwhile is worked on again."""
        self._held.pop(job.due.delivery_id, None)
        if again := self._woken.pop(job.due.delivery_id, None):
            self._begin(asyncio.create_task(self._take_again(Job(due=again))))

    def _failed(self, queue: EndpointQueue) -> None:
        """An endpoint did not take a delivery: what is given back comes with its timers."""
        for given_back in queue.failed(self._clock()):
            self._held.pop(given_back.due.delivery_id, None)
            self._woken.pop(given_back.due.delivery_id, None)

    async def _take_again(self, job: Job) -> None:
        try:
            await self.take([job])
        except MeshError as error:  # its timer is still there
            log.warning("a delivery is left to its timer", delivery=job.due.delivery_id, error=str(error))

    async def _deliver(self, queue: EndpointQueue, job: Job) -> None:
        due, found = job.due, self._webhooks.active(job.due.webhook_id)
        if found is None:
            await self.skip(due, NOT_ACTIVE)
        elif due.key is not None:
            await self._lane_work.work(queue, found, due)
        else:
            await self._deliver_one(queue, found, job)

    async def _deliver_one(self, queue: EndpointQueue, found: InForce, job: Job) -> None:
        due = job.due
        await queue.turn(found.webhook.form.throttle)
        if self._clock() + self._deadline > job.lease:
            return  # the server brings it again
        content = job.body or await self.attempting.content(due)
        if content is None:
            await self.attempting.note(due, Response(duration=0.0, error=NO_LONGER), "given_up")
            return
        if job.stored is not None:
            WAITED.observe(max(0.0, (datetime.now(UTC) - job.stored).total_seconds()))
        response = await self.attempting.send(found, due, content)
        if response.delivered:
            queue.succeeded(self._clock())
            await self.attempting.note(due, response, "delivered")
        else:
            self._failed(queue)
            at = self.attempting.next_attempt(due, response)
            await self.attempting.note(due, response, "failed" if at else "given_up", at)
        await self.attempting.learn(found, response)


@asynccontextmanager
async def open_deliverer(
    mesh: Mesh, webhooks: CurrentWebhooks, health: EndpointHealth, settings: DeliverySettings
) -> AsyncIterator[Deliverer]:
    """A deliverer at work until the block ends."""
    deliverer = Deliverer(mesh, webhooks, health, settings)
    writing = asyncio.create_task(deliverer.attempting.writer.run())
    try:
        yield deliverer
    finally:
        await deliverer.close()
        writing.cancel()
