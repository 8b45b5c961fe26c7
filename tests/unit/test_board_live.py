"""The board's stream: the newest picture to everyone, never a queue."""

import asyncio
from contextlib import asynccontextmanager, suppress
from time import monotonic

import pytest

from services.operations.board.live import Live, LiveSettings

QUICK = LiveSettings(board_readers=2, board_least=0.02, board_most=0.1)


class Painter:
    """Pictures that are numbered, and when each was made."""

    def __init__(self):
        self.at = []

    def __call__(self):
        self.at.append(monotonic())
        return b"%d" % len(self.at)


@asynccontextmanager
async def painting(live):
    """Paint until the block ends."""
    task = asyncio.create_task(live.run())
    try:
        yield live
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def painter():
    return Painter()


@pytest.fixture
async def live(painter):
    async with painting(Live(painter, QUICK)) as live:
        live.readers.open = 1  # somebody looks
        yield live


def number(chunk):
    return int(chunk.split(b"data: ")[-1])


async def opened(live):
    """A stream that has said when to come back and what was, and the picture it began with."""
    stream = live.stream(lambda: b"past")
    assert await anext(stream) == b"retry: 1000\n\n"
    assert await anext(stream) == b"event: history\ndata: past\n\n"
    return stream, number(await anext(stream))


async def test_a_reader_receives_the_history_first_and_then_each_state(live):
    """The first bytes say when to come back, what was, and what is."""
    stream = live.stream(lambda: b"past")

    assert [await anext(stream) for _ in range(3)] == [
        b"retry: 1000\n\n",
        b"event: history\ndata: past\n\n",
        b"event: state\ndata: 1\n\n",
    ]


async def test_a_change_is_sent_at_once(live, painter):
    """What changes while nothing else does is on its way without waiting for the next second."""
    stream, before = await opened(live)

    live.touch()

    assert number(await asyncio.wait_for(anext(stream), 60)) > before


async def test_many_changes_are_one_state(live, painter):
    """However much happens, two pictures are as far apart as they must be."""
    while len(painter.at) < 10:
        live.touch()
        await asyncio.sleep(0)

    gaps = [after - before for before, after in zip(painter.at, painter.at[1:], strict=False)]
    assert min(gaps) >= 0.019


async def test_silence_is_sent_too(live):
    """Without any change a picture comes all the same: ages grow."""
    stream, _ = await opened(live)
    numbers = [number(await asyncio.wait_for(anext(stream), 60)) for _ in range(3)]

    assert numbers == sorted(set(numbers))


async def test_nothing_is_encoded_for_nobody(live, painter):
    """A board that nobody looks at costs nothing."""
    live.readers.open = 0

    for _ in range(20):
        live.touch()
        await asyncio.sleep(0.01)

    assert painter.at == []


async def test_a_slow_reader_gets_the_newest(live, painter, eventually):
    """Pictures that were not taken are never sent; two readers may be at different ones."""
    (slow, _), (quick, _) = await opened(live), await opened(live)
    while len(painter.at) < 8:
        await asyncio.wait_for(anext(quick), 60)

    assert number(await asyncio.wait_for(anext(slow), 60)) >= 8


async def test_closing_ends_every_stream(live):
    """Who waits is let go, and who comes later gets the present state once and is let go too."""
    stream, _ = await opened(live)
    waiting = asyncio.create_task(_rest(stream))
    await asyncio.sleep(0)

    live.close()

    await asyncio.wait_for(waiting, 60)
    assert len([chunk async for chunk in live.stream(lambda: b"")]) == 3


async def _rest(stream):
    async for _ in stream:
        pass
