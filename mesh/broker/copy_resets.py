"""Copy resets: what a server of another region is answered that asks to be delivered a copy again.

A server that copies a stream (ADR-60) asks for a reset whenever it missed something, as after a link was cut, and
skips what the answer reports as delivered already. Asked while the consumer delivers, a server answers with where the
consumer was just before the reset, and everything between is never copied (nats-server 2.14.2 to 2.15.1;
mesh/decisions/0034). So a reset is repeated until its answer reports nothing as delivered behind the place where the
copy goes on.
"""

import asyncio
from collections.abc import Sequence

import msgspec
from nats.aio.msg import Msg

from mesh.broker.connection import Connection
from mesh.errors import MeshError
from mesh.observability.logs import log
from mesh.streams import Copy

ANSWERED = "$JSC.R."
"""What the subjects begin with on which servers that copy are answered."""
PATIENCE = 4.0
"""Seconds; a server asks again after five."""
PAUSE = 0.05
"""Seconds between a reset whose answer is of no use and the next."""
GROUP = "copies"
"""The queue group of those who answer for a region."""


class _Position(msgspec.Struct):
    consumer_seq: int
    stream_seq: int


class _Answer(msgspec.Struct):
    delivered: _Position | None = None
    ack_floor: _Position | None = None

    @property
    def is_consistent(self) -> bool:
        """Whether nothing is reported as delivered behind the place where delivery begins again; errors pass."""
        if self.delivered is None or self.ack_floor is None:
            return True
        return self.delivered.consumer_seq == 0 and self.delivered.stream_seq <= self.ack_floor.stream_seq


async def serve(connection: Connection, copies: Sequence[Copy]) -> None:
    """Answer requests for resets of these copies while the connection stands."""
    for copy in copies:
        await _serve(connection, copy)
    await connection.settled()


async def _serve(connection: Connection, copy: Copy) -> None:
    async def answer(request: Msg) -> None:
        # A consumer delivers to any subject, under the message's own, and whoever may answer may answer to any.
        if request.subject != copy.reset_on or not request.reply.startswith(ANSWERED):
            log.warning("not a request", subject=copy.reset_on, sent_as=request.subject, reply=request.reply)
            return
        try:
            await asyncio.wait_for(_reset(connection, copy, request), PATIENCE)
        except (MeshError, TimeoutError) as error:  # unanswered, the server asks again
            log.warning("copy not reset", stream=copy.stream, consumer=copy.consumer, reason=str(error) or "timeout")

    async def take(request: Msg) -> None:
        answering = asyncio.create_task(answer(request))
        under_way.add(answering)
        answering.add_done_callback(under_way.discard)

    under_way = set[asyncio.Task[None]]()
    await connection.client.subscribe(copy.reset_on, queue=GROUP, cb=take)


async def _reset(connection: Connection, copy: Copy, request: Msg) -> None:
    while True:
        reset = await connection.request(copy.reset_api, request.data, request.headers, wait=PATIENCE)
        if msgspec.json.decode(reset.data, type=_Answer).is_consistent:
            await connection.publish(request.reply, reset.data, reset.headers)
            return
        log.info("consumer was delivering: reset again", stream=copy.stream, consumer=copy.consumer)
        await asyncio.sleep(PAUSE)
