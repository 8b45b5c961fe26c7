"""RabbitMQ: messages to an exchange (AMQP 0-9-1), each confirmed by the broker; one that reaches no queue has failed.

CloudEvents as in their AMQP binding (https://github.com/cloudevents/spec, AMQP protocol binding 1.0): structured in the
body, or in binary mode with attributes in headers `cloudEvents_...`. The headers of Standard Webhooks are there too.
"""

import asyncio
import ssl
from contextlib import suppress
from typing import Any

import httpcore

from mesh.extras import load
from mesh.web.checked_network import AddressRefused, CheckedNetwork
from mesh.web.endpoint_client import Response
from services.webhooks.destinations.broker_form import amqp_parts
from services.webhooks.destinations.destination import Message, attempted

HEARTBEAT = 30
"""Seconds after which a connection that says nothing is taken for lost, twice in a row."""


class RabbitMQDestination:
    """One connection with one channel, opened with the first message, and again after an error of either."""

    def __init__(
        self,
        *,
        url: str,
        exchange: str,
        routing: str,
        user: str,
        password: str,
        network: CheckedNetwork,
        tls: ssl.SSLContext,
        connect: float,
        deadline: float,
    ) -> None:
        self._url, self._exchange_name, self._routing = url, exchange, routing
        self._user, self._password, self._network, self._tls = user, password, network, tls
        self._connect_deadline, self._deadline = connect, deadline
        self._opening = asyncio.Lock()
        self._connection: Any = None
        self._closing: set[asyncio.Task[None]] = set()
        self._exchange: Any = None

    async def send(self, message: Message) -> Response:
        """Publish, and wait for the broker's confirmation."""
        return await attempted(self._deadline, lambda: self._publish(message), self._words)

    async def _publish(self, message: Message) -> None:
        aio_pika, envelope = load("rabbitmq"), message.envelope
        exchange = await self._opened()
        try:
            await exchange.publish(
                aio_pika.Message(
                    message.body,
                    headers={f"cloudEvents_{name}": value for name, value in message.attributes.items()}
                    | message.signed,
                    content_type=message.content_type,
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    message_id=message.id,
                    timestamp=envelope.time,
                    type=envelope.type,
                    app_id="cartmesh",
                ),
                routing_key=self._routing.replace("{type}", envelope.type).replace("{subject}", envelope.subject),
                mandatory=True,
            )
        except aio_pika.exceptions.DeliveryError:
            raise  # the channel is as good as before
        except BaseException:
            if self._exchange is exchange:
                self._let_go()  # the next attempt opens another
            raise

    async def _opened(self) -> Any:
        async with self._opening:
            if self._exchange is not None and not self._exchange.channel.is_closed:
                return self._exchange
            if self._connection is not None:
                self._let_go()
            self._connection = await self._connected()
            channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            named = self._exchange_name
            self._exchange = await channel.get_exchange(named, ensure=False) if named else channel.default_exchange
            return self._exchange

    async def _connected(self) -> Any:
        aio_pika = load("rabbitmq")
        scheme, host, port, vhost = amqp_parts(self._url)
        address = aio_pika.connection.make_url(
            host=host, port=port, login=self._user, password=self._password, virtualhost=vhost,
            ssl=scheme == "amqps", heartbeat=HEARTBEAT,
        )  # fmt: skip
        connection = aio_pika.Connection(address, ssl_context=self._tls)
        connection.kwargs["transport_factory"] = _CheckedTransport(
            self._network, host, port, self._tls if scheme == "amqps" else None
        )
        await connection.connect(timeout=self._connect_deadline)
        return connection

    def _words(self, error: Exception) -> str:
        exceptions = load("rabbitmq").exceptions
        if isinstance(error, exceptions.PublishError):
            where = f"exchange {self._exchange_name}" if self._exchange_name else "default exchange"
            return f"unroutable: no queue is bound to the {where} for this routing key ({error})"
        if isinstance(error, exceptions.DeliveryError):
            return f"the broker did not take it: {error}"
        return str(error) or type(error).__name__

    def _let_go(self) -> None:
        """Close the connection on the side; it may be a dead one."""
        closing = asyncio.create_task(self._closed(self._connection))
        self._connection = self._exchange = None
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _closed(self, connection: Any) -> None:
        with suppress(Exception):
            async with asyncio.timeout(self._connect_deadline):
                await connection.close()

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._let_go()
        await asyncio.gather(*self._closing)


class _CheckedTransport:
    """What aiormq opens connections with: to addresses that were judged; with `tls` for the name of the URL."""

    def __init__(self, network: CheckedNetwork, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._network, self._host, self._port, self._tls = network, host, port, tls

    async def create(self, _: Any, **__: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            reader, writer = await self._network.open(self._host, self._port)
        except (AddressRefused, httpcore.NetworkError) as error:
            raise ConnectionError(str(error)) from error
        if self._tls is not None:
            try:
                await writer.start_tls(self._tls, server_hostname=self._host)
            except BaseException:
                writer.transport.abort()
                raise
        return reader, writer
