"""Lane work: the deliveries of one key, one after the other; what is first is tried until it is taken or given up."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec

from mesh import Mesh, Received, Timer
from mesh.errors import Conflict
from mesh.event import declaration_of
from mesh.events.delivery import DeliveryDue
from mesh.partner_events import body
from services.webhooks.attempting import Attempting
from services.webhooks.current_webhooks import CurrentWebhooks, InForce
from services.webhooks.endpoint_queue import EndpointQueue
from services.webhooks.lanes import Lane, Lanes


class LaneWork:
    """Works on lanes, whose timers the deliverer has set."""

    def __init__(
        self,
        mesh: Mesh,
        webhooks: CurrentWebhooks,
        attempting: Attempting,
        lanes: Lanes,
        failed: Callable[[EndpointQueue], None],
    ) -> None:
        """`failed` is told of each attempt that was not taken."""
        self._mesh, self._webhooks, self._attempting, self._lanes = mesh, webhooks, attempting, lanes
        self._failed = failed

    async def work(self, queue: EndpointQueue, found: InForce, due: DeliveryDue) -> None:
        """Deliver all that is next in a lane; or have it come again when its time has come. Raises Unavailable."""
        begun = await self._lanes.begin(due.delivery_id)
        if isinstance(begun, datetime):
            await self._mesh.publish(Timer(due, begun))
            return
        lane, revision = begun
        try:
            while events := await self._lanes.next_events(
                found, due.key or "", lane, wanted=(due.stream, due.sequence)
            ):
                for event in events:
                    active = self._webhooks.active(due.webhook_id)
                    if active is None:
                        await self._lanes.store(due.delivery_id, lane, revision, ended=True)
                        return
                    lane, waits = await self._deliver(queue, active, self._turn(due, event, lane), event, lane)
                    lane, revision = await self._lanes.store(due.delivery_id, lane, revision, ended=waits)
                    if waits:
                        return
            await self._lanes.store(
                due.delivery_id, msgspec.structs.replace(lane, replayed=False), revision, ended=True
            )
        except Conflict:
            return  # another process works on it, or somebody replays: the timer comes again

    async def _deliver(
        self, queue: EndpointQueue, found: InForce, due: DeliveryDue, event: Received, lane: Lane
    ) -> tuple[Lane, bool]:
        """Attempt one event. The lane after it, and whether what is first has to wait."""
        await queue.turn(found.webhook.form.throttle)
        response = await self._attempting.send(found, due, body(event))
        at = None if response.delivered else self._attempting.next_attempt(due, response)
        if response.delivered:
            queue.succeeded(asyncio.get_running_loop().time())
            await self._attempting.note(due, response, "delivered")
        else:
            self._failed(queue)
            await self._attempting.note(due, response, "failed" if at else "given_up", at)
        await self._attempting.learn(found, response)
        if at is not None:
            return msgspec.structs.replace(lane, attempt=lane.attempt + 1, not_before=at), True
        done = {**lane.done, due.stream: event.sequence}
        return msgspec.structs.replace(lane, done=done, attempt=1, not_before=None), False

    def _turn(self, due: DeliveryDue, event: Received, lane: Lane) -> DeliveryDue:
        """The delivery of one event of the lane."""
        return msgspec.structs.replace(
            due,
            event_id=event.id,
            event_type=declaration_of(type(event.event)).type,
            stream=self._mesh.stream_of(type(event.event)),
            sequence=event.sequence,
            attempt=lane.attempt,
        )
