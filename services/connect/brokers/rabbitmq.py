"""RabbitMQ: messages of a queue, acknowledged once they are stored; what can never be taken is rejected.

What is rejected goes where the queue's own dead-letter exchange leads, if it has one.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import SplitResult, unquote, urlunsplit

from mesh.extras import load
from mesh.translate import Take
from services.connect.brokers.messages import foreign

PREFETCH = 100
"""Messages that are under way before the first is acknowledged."""
CONNECT = 10.0
HEARTBEAT = 20
"""Seconds."""


def opened(
    url: SplitResult, options: dict[str, str], mapping: str
) -> tuple[str, Callable[[Take], Coroutine[Any, Any, None]]]:
    """Where messages come from, in words, and what fetches them. Raises ValueError."""
    queue = options.get("queue", "")
    if not queue or not url.hostname:
        raise ValueError("the address needs a host and ?queue=<queue>")
    load("rabbitmq")
    vhost = unquote(url.path[1:]) or "/"
    address = urlunsplit((url.scheme, url.netloc, "/" + vhost.replace("/", "%2F"), f"heartbeat={HEARTBEAT}", ""))

    async def run(take: Take) -> None:
        connection = await load("rabbitmq").connect(address, timeout=CONNECT)
        try:
            await _fetch(connection, queue, mapping, take)
        finally:
            async with asyncio.timeout(CONNECT):
                await connection.close()

    return f"queue {queue}", run


async def _fetch(connection: Any, queue: str, mapping: str, take: Take) -> None:
    """Take messages until the connection or the channel ends, which raises."""
    waiting: asyncio.Queue[Any] = asyncio.Queue()

    def end(_: Any, error: BaseException | None = None) -> None:
        waiting.put_nowait(ConnectionError(str(error) if error else "the broker has closed the connection"))

    channel = await connection.channel(publisher_confirms=False)
    connection.close_callbacks.add(end)
    channel.close_callbacks.add(end)
    await channel.set_qos(prefetch_count=PREFETCH)
    await (await channel.get_queue(queue)).consume(waiting.put)

    async def settle(message: Any) -> None:
        if isinstance(message, ConnectionError):
            raise message
        if await take(foreign(mapping, message.body, message.headers, message.content_type)):
            await message.ack()
        else:
            await message.reject(requeue=False)

    while True:
        messages = [await waiting.get()]
        while not waiting.empty():
            messages.append(waiting.get_nowait())
        await asyncio.gather(*map(settle, messages))
