"""Kafka: messages of a topic, by a consumer group whose offsets are committed once what is before them is stored."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, unquote

from mesh.extras import load
from mesh.translate import Take
from services.connect.brokers.messages import foreign

TOGETHER = 100
PATIENCE = 5.0
"""Seconds without a message after which it is seen whether the cluster is there."""
GROUP = "cartmesh"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def opened(
    url: SplitResult, options: dict[str, str], mapping: str
) -> tuple[str, Callable[[Take], Coroutine[Any, Any, None]]]:
    """Where messages come from, in words, and what fetches them. Raises ValueError."""
    topic, mechanism = url.path[1:], options.get("sasl", "PLAIN")
    servers = url.netloc.rpartition("@")[2].split(",")
    if not topic or not all(":" in one for one in servers):
        raise ValueError("the address is kafka+ssl://<host>:<port>,.../<topic>")
    if mechanism not in MECHANISMS:
        raise ValueError(f"sasl is one of {', '.join(MECHANISMS)}")
    load("kafka")
    encrypted = url.scheme == "kafka+ssl"
    protocol = "SSL" if encrypted else "PLAINTEXT"
    settings = {
        "bootstrap_servers": servers,
        "client_id": "cartmesh",
        "group_id": options.get("group", GROUP),
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "security_protocol": f"SASL_{protocol}" if url.username else protocol,
        "ssl_context": ssl.create_default_context() if encrypted else None,
        "sasl_mechanism": mechanism,
        "sasl_plain_username": unquote(url.username) if url.username else None,
        "sasl_plain_password": unquote(url.password or "") if url.username else None,
    }

    async def run(take: Take) -> None:
        consumer = load("kafka").AIOKafkaConsumer(topic, **settings)
        try:
            await consumer.start()
            await _fetch(consumer, mapping, take)
        finally:
            with suppress(Exception, asyncio.CancelledError):  # it raises what its own tasks ended with
                await consumer.stop()

    return f"topic {topic}", run


async def _fetch(consumer: Any, mapping: str, take: Take) -> None:
    """Take messages until the cluster is lost, which raises."""
    while True:
        found = await consumer.getmany(timeout_ms=int(PATIENCE * 1000), max_records=TOGETHER)
        if not found:
            await consumer.topics()
            continue
        for partition, messages in found.items():
            meant = [one for one in messages if one.value is not None]  # a tombstone says nothing
            requests = [foreign(mapping, one.value, dict(one.headers), None) for one in meant]
            await asyncio.gather(*map(take, requests))
            await consumer.commit({partition: messages[-1].offset + 1})
