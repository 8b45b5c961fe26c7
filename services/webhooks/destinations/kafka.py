"""Kafka: messages to a topic by an idempotent producer, in the partition of the event's subject.

CloudEvents as in their Kafka binding (https://github.com/cloudevents/spec, Kafka protocol binding 1.0). A cluster tells
its clients where its brokers are, so that no address can be judged beforehand: only clusters that the operator names in
`webhook_brokers` are connected to.
"""

import asyncio
import ssl
from contextlib import suppress
from typing import Any

from mesh.extras import load
from mesh.web.endpoint_client import Response
from services.webhooks.destinations.broker_form import kafka_parts
from services.webhooks.destinations.destination import Message, attempted


class KafkaDestination:
    """One producer, started with the first message, and again after an error: one of idempotence is final."""

    def __init__(self, *, url: str, topic: str, user: str, password: str, tls: ssl.SSLContext, deadline: float) -> None:
        self._url, self._topic, self._user, self._password = url, topic, user, password
        self._tls, self._deadline = tls, deadline
        self._opening = asyncio.Lock()
        self._producer: Any = None
        self._stopping: set[asyncio.Task[None]] = set()

    async def send(self, message: Message) -> Response:
        """Produce, and wait until all replicas in sync have it."""
        return await attempted(self._deadline, lambda: self._produce(message), _words)

    async def _produce(self, message: Message) -> None:
        producer = await self._opened()
        attributes = {f"ce_{name}": value for name, value in message.attributes.items()}
        headers = {"content-type": message.content_type, **attributes, **message.signed}
        try:
            await producer.send_and_wait(
                self._topic,
                message.body,
                key=message.envelope.subject.encode(),
                headers=[(name, value.encode()) for name, value in headers.items()],
                timestamp_ms=int(message.envelope.time.timestamp() * 1000),
            )
        except BaseException:
            if self._producer is producer:
                self._let_go()
            raise

    async def _opened(self) -> Any:
        async with self._opening:
            if self._producer is None:
                producer = load("kafka").AIOKafkaProducer(**self._settings())
                try:
                    await producer.start()
                except BaseException:
                    await self._stopped(producer)
                    raise
                self._producer = producer
            return self._producer

    def _settings(self) -> dict[str, Any]:
        servers, encrypted, mechanism = kafka_parts(self._url)
        protocol = f"SASL_{'SSL' if encrypted else 'PLAINTEXT'}" if self._user else "SSL" if encrypted else "PLAINTEXT"
        return {
            "bootstrap_servers": servers,
            "client_id": "cartmesh",
            "enable_idempotence": True,
            "request_timeout_ms": int(self._deadline * 1000 / 2),
            "security_protocol": protocol,
            "ssl_context": self._tls if encrypted else None,
            "sasl_mechanism": mechanism,
            "sasl_plain_username": self._user or None,
            "sasl_plain_password": self._password or None,
        }

    async def close(self) -> None:
        """Stop the producer."""
        if self._producer is not None:
            self._let_go()
        await asyncio.gather(*self._stopping)

    def _let_go(self) -> None:
        """Stop the producer on the side; the next message starts another."""
        stopping = asyncio.create_task(self._stopped(self._producer))
        self._producer = None
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)

    async def _stopped(self, producer: Any) -> None:
        with suppress(Exception, asyncio.CancelledError):  # it raises what its own tasks ended with
            async with asyncio.timeout(self._deadline):
                await producer.stop()


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
