"""Event streams: server-sent events to the pages that are open, by topic.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")
COMMENT = b": still here\n\n"
"""Sent over a silent stream, so that no proxy takes it for dead."""


def server_sent_event(name: str, data: bytes, *, id: int | None = None) -> bytes:
    """The bytes of one event. `data` is one line; `id` comes back as Last-Event-ID when a browser reconnects."""
    head = b"" if id is None else b"id: %d\n" % id
    return b"%bevent: %b\ndata: %b\n\n" % (head, name.encode(), data)


class Subscription(Generic[T]):
    """One open page: what it has not been sent yet, at most `most` items. A slow page misses the oldest."""

    def __init__(self, most: int) -> None:
        self._waiting: deque[T] = deque(maxlen=most)
        self._something = asyncio.Event()

    def put(self, item: T) -> None:
        """Queue an item."""
        self._waiting.append(item)
        self._something.set()

    def wake(self) -> None:
        """Let `next` return."""
        self._something.set()

    async def next(self, wait: float) -> T | None:
        """The next item, or None after `wait` seconds without one."""
        if not self._waiting:
            self._something.clear()
            try:
                await asyncio.wait_for(self._something.wait(), wait)
            except TimeoutError:
                return None
        return self._waiting.popleft() if self._waiting else None


class Hub(Generic[T]):
    """Items by topic, on their way to the pages that subscribed to it; `queued` items may wait for a slow page."""

    def __init__(self, *, queued: int) -> None:
        self._queued = queued
        self._subscriptions: dict[str, set[Subscription[T]]] = {}
        self.open = 0
        """How many streams are open, of all topics."""
        self.closed = False

    def subscribers(self, topic: str) -> int:
        """How many streams of a topic are open."""
        return len(self._subscriptions.get(topic, ()))

    def publish(self, topic: str, item: T) -> None:
        """Send an item to the open streams of a topic."""
        for subscription in self._subscriptions.get(topic, ()):
            subscription.put(item)

    def close(self) -> None:
        """End every stream; browsers reconnect to another process."""
        self.closed = True
        for subscription in [one for of_topic in self._subscriptions.values() for one in of_topic]:
            subscription.wake()

    async def stream(
        self,
        topic: str,
        encode: Callable[[T], bytes],
        *,
        first: Callable[[], Iterable[T]] = tuple,
        retry: int = 2000,
        heartbeat: float = 15.0,
    ) -> AsyncIterator[bytes]:
        """The bytes of one page's stream until the page goes or the hub closes.

        `first` gives what the page is sent at once; it is called on subscribing, so that what follows is newer.
        `retry`: after how many milliseconds a browser reconnects; `heartbeat`: seconds of silence before a comment.
        """
        subscription: Subscription[T] = Subscription(self._queued)
        self._subscriptions.setdefault(topic, set()).add(subscription)
        self.open += 1
        try:
            at_once = list(first())
            yield b"retry: %d\n\n" % retry
            for item in at_once:
                yield encode(item)
            while not self.closed:
                following = await subscription.next(heartbeat)
                if following is not None:
                    yield encode(following)
                elif not self.closed:
                    yield COMMENT
        finally:
            self.open -= 1
            self._subscriptions[topic].discard(subscription)
            if not self._subscriptions[topic]:
                del self._subscriptions[topic]
