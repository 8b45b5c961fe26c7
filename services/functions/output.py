"""Output: what a process of functions prints, of which each call keeps the beginning.

What goes on printing is read slowly, so that it waits for its reader and not everybody for it.
"""

import asyncio
import os
from contextlib import suppress

from mesh.masking import without_addresses

_AT_ONCE = 64 * 1024
_PAUSE = 0.005
"""Seconds between reads of what is only dropped: 13 MB a second."""


class Output:
    """Reads a pipe. `take` gives what came since it was called last."""

    def __init__(self, descriptor: int, *, most: int) -> None:
        """`most` is how many bytes are kept between two takes."""
        os.set_blocking(descriptor, False)
        self._descriptor, self._most = descriptor, most
        self._kept = bytearray()
        self._dropped = 0
        self._open = True
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._readable)

    def take(self) -> tuple[str, int]:
        """What was written, e-mail addresses masked, and how many bytes more there were."""
        while self._open and self._read():
            if self._dropped:
                break
        text = without_addresses(self._kept.decode("utf-8", "replace"))
        dropped, self._dropped = self._dropped, 0
        self._kept.clear()
        return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in text), dropped

    def close(self) -> None:
        """Read no more."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _readable(self) -> None:
        if self._read() and self._dropped:
            self._loop.remove_reader(self._descriptor)
            self._loop.call_later(_PAUSE, self._again)

    def _again(self) -> None:
        if self._open:
            self._loop.add_reader(self._descriptor, self._readable)

    def _read(self) -> bool:
        """Read once; whether there was something."""
        with suppress(BlockingIOError):
            some = os.read(self._descriptor, _AT_ONCE)
            if not some:
                self._loop.remove_reader(self._descriptor)
                return False
            room = max(0, self._most - len(self._kept))
            self._kept += some[:room]
            self._dropped += len(some[room:])
            return True
        return False
