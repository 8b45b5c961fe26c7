"""nats-py used directly, without the mesh: the ceiling that benchmarks compare with."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from secrets import token_hex
from typing import Any, NamedTuple

from nats.aio.client import Client
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from mesh.broker.connection import Login

FETCH = 500
"""Messages asked for at once."""
BATCHES_IN_FLIGHT = 32
"""Atomic batches under way; the server refuses more than 50 per stream."""
PENDING = 1000
"""Unacknowledged single messages."""
TIMEOUT = 60.0

CONSUMER = ConsumerConfig(max_ack_pending=10_000, ack_wait=30)
"""How every contender's consumer is limited."""


class RawMessage(NamedTuple):
    """A message ready to be sent."""

    subject: str
    body: bytes
    headers: dict[str, str]


class RawClient:
    """One connection as a login; every measuring method returns seconds."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._jetstream: Any = client.jetstream(timeout=TIMEOUT, publish_async_max_pending=PENDING)

    @classmethod
    @asynccontextmanager
    async def connect(cls, login: Login) -> AsyncIterator["RawClient"]:
        """Connected until the block ends."""
        client = Client()
        await client.connect(
            list(login.servers),
            user=login.user,
            password=login.password,
            inbox_prefix=login.inbox_prefix.encode(),
            pending_size=64 * 1024 * 1024,
        )
        try:
            yield cls(client)
        finally:
            await client.close()

    async def publish(self, messages: Sequence[RawMessage]) -> float:
        """Send with `publish_async` until every message is acknowledged."""
        began = time.perf_counter()
        acknowledgements = [
            await self._jetstream.publish_async(message.subject, message.body, headers=message.headers)
            for message in messages
        ]
        await asyncio.gather(*acknowledgements)
        return time.perf_counter() - began

    async def publish_batches(self, batches: Sequence[Sequence[RawMessage]]) -> float:
        """Store each batch atomically (ADR-50), some of them side by side. RuntimeError with a server's refusal."""
        waiting = iter(batches)

        async def send() -> None:
            for batch in waiting:
                await self._publish_batch(batch)

        began = time.perf_counter()
        await asyncio.gather(*(send() for _ in range(BATCHES_IN_FLIGHT)))
        return time.perf_counter() - began

    async def _publish_batch(self, batch: Sequence[RawMessage]) -> None:
        number = token_hex(8)
        for at, message in enumerate(batch, start=1):
            headers = {**message.headers, "Nats-Batch-Id": number, "Nats-Batch-Sequence": str(at)}
            if at < len(batch):
                await self._client.publish(message.subject, message.body, headers=headers)
                continue
            headers["Nats-Batch-Commit"] = "1"
            reply = await self._client.request(message.subject, message.body, timeout=TIMEOUT, headers=headers)
            if b'"error"' in reply.data:
                raise RuntimeError(f"{message.subject}: {reply.data.decode()}")

    async def consume(self, stream: str, durable: str, count: int) -> float:
        """Fetch and acknowledge `count` messages; nothing is decoded."""
        pull = await self._jetstream.pull_subscribe_bind(durable=durable, stream=stream)
        began, taken = time.perf_counter(), 0
        while taken < count:
            for message in await pull.fetch(FETCH, timeout=5):
                await message.ack()
                taken += 1
        await self._client.flush()
        return time.perf_counter() - began

    async def add_durable(self, stream: str, subject: str, name: str, *, last: int = 0) -> None:
        """A fresh durable consumer of a stream, with its `last` messages still to be delivered."""
        info = await self._jetstream.stream_info(stream)
        config = CONSUMER.evolve(
            durable_name=name,
            filter_subject=subject,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=max(1, info.state.last_seq - last + 1),
        )
        await self.delete_durable(stream, name)
        await self._jetstream.add_consumer(stream, config)

    async def delete_durable(self, stream: str, name: str) -> None:
        """Remove a consumer. Harmless when there is none."""
        with suppress(NotFoundError):
            await self._jetstream.delete_consumer(stream, name)
