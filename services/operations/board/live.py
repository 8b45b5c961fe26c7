"""Live: the newest picture to everyone who looks (server-sent events); a slow reader never has a queue."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import msgspec


class LiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many readers one process serves, seconds between two pictures, and how long a reader may take for one."""

    board_readers: int = 64
    board_least: float = 0.2
    board_most: float = 1.0
    board_patience: float = 10.0


class Live:
    """Paints when something changed, at most every `least` seconds and at least every `most`, if anyone looks.

    One picture is painted for all readers; each takes the newest when it is ready for one.
    """

    def __init__(self, paint: Callable[[], bytes], settings: LiveSettings) -> None:
        self._paint, self._settings = paint, settings
        self._changed, self._painted = asyncio.Event(), asyncio.Event()
        self._newest, self._number = b"", 0
        self.open, self.patience = 0, settings.board_patience
        self.closed = False

    @property
    def crowded(self) -> bool:
        """Whether more look than may."""
        return self.open > self._settings.board_readers

    def touch(self) -> None:
        """Something is different."""
        self._changed.set()

    def close(self) -> None:
        """End every stream; browsers come back to another process."""
        self.closed = True
        self._painted.set()

    async def run(self) -> None:
        """Paint until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.board_most - self._settings.board_least):
                    await self._changed.wait()
            self._changed.clear()
            if self.open:
                self._show(self._paint())
            await asyncio.sleep(self._settings.board_least)

    async def stream(self, history: Callable[[], bytes]) -> AsyncIterator[bytes]:
        """The bytes of one reader's stream: `history` once, then the newest `state` as often as the reader takes it."""
        yield b"retry: 1000\n\n" + _event(b"history", history()) + _event(b"state", self._paint())
        seen = self._number
        while not self.closed:
            if seen == self._number:
                await self._painted.wait()
                continue
            seen = self._number
            yield self._newest

    def _show(self, picture: bytes) -> None:
        self._newest, self._number = _event(b"state", picture), self._number + 1
        self._painted, before = asyncio.Event(), self._painted
        before.set()


def _event(name: bytes, data: bytes) -> bytes:
    """One event: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream ."""
    return b"event: %s\ndata: %s\n\n" % (name, data)
