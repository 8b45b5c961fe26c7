"""Live: the latest state to everyone who looks (server-sent events); a slow reader never has a queue."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import msgspec

from mesh.web.event_stream import Hub, server_sent_event
from mesh.web.readers import Readers


class LiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many readers one process serves, seconds between two states, and how long a reader may take for one."""

    board_readers: int = 64
    board_least: float = 0.2
    board_most: float = 1.0
    board_patience: float = 10.0


class Live:
    """Sends the state when something changed, at most every `least` seconds and at least every `most`, if anyone looks.

    It is encoded once for all readers; each takes the latest when it is ready for one.
    """

    def __init__(self, encoded: Callable[[], bytes], settings: LiveSettings) -> None:
        self._encoded, self._settings = encoded, settings
        self._changed = asyncio.Event()
        self._pages: Hub[bytes] = Hub(queued=1)
        self.readers = Readers(settings.board_readers, settings.board_patience)

    def touch(self) -> None:
        """Something is different."""
        self._changed.set()

    def close(self) -> None:
        """End every stream; browsers come back to another process."""
        self._pages.close()

    async def run(self) -> None:
        """Encode and send until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.board_most - self._settings.board_least):
                    await self._changed.wait()
            self._changed.clear()
            if self.readers.open:
                self._pages.publish("", server_sent_event("state", self._encoded()))
            await asyncio.sleep(self._settings.board_least)

    def stream(self, history: Callable[[], bytes]) -> AsyncIterator[bytes]:
        """The bytes of one reader's stream: `history` once, then the newest `state` as often as the reader takes it."""

        def first() -> tuple[bytes, bytes]:
            return server_sent_event("history", history()), server_sent_event("state", self._encoded())

        return self._pages.stream("", bytes, first=first, retry=1000)
