"""Call log: how calls ended and what they wrote, stored many at once, so that no call waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh import Mesh, Received
from mesh.errors import MeshError
from mesh.event import declaration_of
from mesh.events.function_call import FunctionCallEnded
from mesh.mesh import readable
from mesh.observability.logs import log
from mesh.subjects import subject, token

TOGETHER, WAITING = 100, 5_000
"""The most calls in one commit, and the most that wait for one: what is beyond them is not noted."""
PAUSE = 1.0
SHOWN = 100
FIRST_LOOK, FURTHER = 2_000, 10
"""How many messages of the stream are looked through at first, and how many times as many where that is too few."""


class CallLog:
    """The calls of one process on their way into the stream. Make one with `open_call_log`."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._waiting: asyncio.Queue[FunctionCallEnded] = asyncio.Queue(WAITING)

    def put(self, ended: FunctionCallEnded) -> None:
        """Have a call noted soon."""
        if self._waiting.full():
            log.warning("a call is not noted", function=ended.function, event_id=ended.event_id)
        else:
            self._waiting.put_nowait(ended)

    async def run(self) -> None:
        """Store until cancelled. What cannot be stored now is stored later."""
        while True:
            some = [await self._waiting.get()]
            while len(some) < TOGETHER and not self._waiting.empty():
                some.append(self._waiting.get_nowait())
            while True:
                try:
                    await self._mesh.publish(*some)
                    break
                except MeshError as error:
                    log.warning("calls are not noted yet", calls=len(some), error=str(error))
                    await asyncio.sleep(PAUSE)
            for _ in some:
                self._waiting.task_done()

    async def flush(self) -> None:
        """Wait until everything is stored."""
        await self._waiting.join()


@asynccontextmanager
async def open_call_log(mesh: Mesh) -> AsyncIterator[CallLog]:
    """A log that is written until the block ends."""
    made = CallLog(mesh)
    writing = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        try:
            async with asyncio.timeout(5):
                await made.flush()
        except TimeoutError:
            log.warning("some calls were not noted")
        writing.cancel()


async def newest_calls(mesh: Mesh, name: str, most: int = SHOWN) -> list[Received[FunctionCallEnded]]:
    """The newest calls of a function in this region, newest first. Raises Unavailable."""
    stream = mesh.stream_of(FunctionCallEnded)
    wanted = subject(mesh.region, declaration_of(FunctionCallEnded), token(name, "function"))
    newest = await mesh.broker.last(stream, wanted)
    look = FIRST_LOOK
    while newest is not None:
        after = max(newest.sequence - look, 0)
        found = [one async for one in mesh.broker.read(stream, [wanted], after=after)]
        if len(found) >= most or not after:
            return list(readable(found[-most:]))[::-1]
        look *= FURTHER
    return []


async def following_calls(mesh: Mesh, name: str) -> AsyncIterator[Received[FunctionCallEnded]]:
    """The calls of a function from now on. Raises Unavailable."""
    stream, declaration = mesh.stream_of(FunctionCallEnded), declaration_of(FunctionCallEnded)
    deliveries = await mesh.broker.follow(stream, (subject(mesh.region, declaration, token(name, "function")),), None)
    try:
        while True:
            for one in readable(await deliveries.fetch(100, 1.0)):
                yield one
    finally:
        await deliveries.close()
