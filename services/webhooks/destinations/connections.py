"""Connections: the destination of each webhook, opened when it is first needed, and closed when nothing goes there."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from mesh.aws import AwsKey
from mesh.web.checked_network import CheckedNetwork
from mesh.web.endpoint_client import EndpointClient
from services.webhooks.delivery_settings import DeliverySettings
from services.webhooks.destinations.aws import AwsDestination
from services.webhooks.destinations.destination import Destination
from services.webhooks.destinations.https import HttpsDestination
from services.webhooks.destinations.kafka import KafkaDestination
from services.webhooks.destinations.rabbitmq import RabbitMQDestination
from services.webhooks.webhook import Webhook

UNUSED = 300.0
"""Seconds after which a destination that got nothing is closed."""


@dataclass
class _Open:
    leads_to: tuple[object, ...]
    destination: Destination
    used: float


class Connections:
    """The open destinations of a process. Each webhook has its own, so that none keeps another's busy."""

    def __init__(self, settings: DeliverySettings) -> None:
        self._settings = settings
        private = settings.webhook_private_addresses
        self._network = CheckedNetwork(private=private)
        self._broker_network = CheckedNetwork(private=private, allowed=frozenset(settings.webhook_brokers))
        self._tls = httpx.create_ssl_context()
        self._open: dict[str, _Open] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._swept = 0.0
        self._make: dict[str, Callable[[Webhook], Destination]] = {
            "https": self._https,
            "rabbitmq": self._rabbitmq,
            "kafka": self._kafka,
            "aws": self._aws,
        }

    def to(self, webhook: Webhook) -> Destination:
        """Where a webhook delivers to now; what was open to where it did before is closed."""
        now = asyncio.get_running_loop().time()
        if now - self._swept > UNUSED:
            self._swept = now
            for id_ in [id_ for id_, one in self._open.items() if now - one.used > UNUSED]:
                self._close(id_)
        known = self._open.get(webhook.id)
        if known is not None and known.leads_to != webhook.leads_to:
            self._close(webhook.id)
            known = None
        if known is None:
            made = self._make[webhook.form.kind](webhook)
            known = self._open[webhook.id] = _Open(webhook.leads_to, made, now)
        known.used = now
        return known.destination

    def _client(self, network: CheckedNetwork) -> EndpointClient:
        return EndpointClient(
            network,
            self._tls,
            connect=self._settings.webhook_connect_deadline,
            deadline=self._settings.webhook_deadline,
        )

    def _https(self, webhook: Webhook) -> Destination:
        return HttpsDestination(self._client(self._network), webhook.form.url)

    def _rabbitmq(self, webhook: Webhook) -> Destination:
        form = webhook.form
        return RabbitMQDestination(
            url=form.url,
            exchange=form.target,
            routing=form.routing,
            user=form.user,
            password=webhook.password,
            network=self._broker_network,
            tls=self._tls,
            connect=self._settings.webhook_connect_deadline.total_seconds(),
            deadline=self._settings.webhook_deadline.total_seconds(),
        )

    def _kafka(self, webhook: Webhook) -> Destination:
        form, deadline = webhook.form, self._settings.webhook_deadline.total_seconds()
        return KafkaDestination(
            url=form.url,
            topic=form.target,
            user=form.user,
            password=webhook.password,
            tls=self._tls,
            deadline=deadline,
        )

    def _aws(self, webhook: Webhook) -> Destination:
        key = AwsKey(id=webhook.form.user, secret=webhook.password)
        client = self._client(self._broker_network)
        return AwsDestination(client, url=webhook.form.url, arn=webhook.form.target, key=key)

    def _close(self, id_: str) -> None:
        closing = asyncio.create_task(self._open.pop(id_).destination.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close all of them."""
        for id_ in list(self._open):
            self._close(id_)
        await asyncio.gather(*self._closing, return_exceptions=True)
        self._network.close()
        self._broker_network.close()
