"""Durable consumers: as the JetStream API wants them, and made by the service that consumes."""

from typing import Any

import msgspec
from nats.aio.msg import Msg

from mesh.broker.connection import Connection, status
from mesh.broker.wire import decode_info, refused
from mesh.errors import Unavailable
from mesh.streams import ConsumerSpec

FILTERS, AS_WANTED = "cartmesh.filters", "as wanted"
"""The metadata of a durable whose filters its service may narrow."""


def consumer_config(spec: ConsumerSpec) -> dict[str, Any]:
    """A durable pull consumer. Deliveries are not limited: the consume loop makes what keeps failing a dead letter."""
    config: dict[str, Any] = {
        "name": spec.durable,
        "durable_name": spec.durable,
        "description": spec.description,
        "deliver_policy": "new" if spec.deliver_new else "all",
        "replay_policy": "instant",
        "ack_policy": "explicit",
        "ack_wait": int(spec.ack_wait.total_seconds() * 1e9),
        "max_ack_pending": spec.max_ack_pending,
        "max_deliver": -1,
        "num_replicas": spec.copies,
    }
    if len(spec.filters) == 1:
        config["filter_subject"] = spec.filters[0]
    else:
        config["filter_subjects"] = sorted(spec.filters)
    if spec.as_wanted:
        config["metadata"] = {FILTERS: AS_WANTED}
    return config


async def make_durable(connection: Connection, spec: ConsumerSpec) -> None:
    """Create a durable, or change what the one of that name delivers; see Broker."""
    region, at = connection.login.region, f"{spec.stream}.{spec.durable}"
    there = await connection.request(f"$JS.API.CONSUMER.INFO.{at}", b"")
    asked = {"stream_name": spec.stream, "config": _config(spec) | _begun(there)}
    reply = await connection.request(f"$JS.API.CONSUMER.CREATE.{at}", msgspec.json.encode(asked))
    if status(reply) == "503":
        raise Unavailable(f"{region}: {spec.stream} has no leader just now, or does not exist")
    info = decode_info(reply.data)
    if info.error is not None:
        raise refused(region, info.error, f"cannot make the consumer {spec.durable} of {spec.stream}")


def _begun(info: Msg) -> dict[str, Any]:
    """Where a durable that is there began, which cannot be changed: in a restored region at a sequence."""
    config = msgspec.json.decode(info.data or b"{}").get("config") or {}
    return {name: config[name] for name in ("deliver_policy", "opt_start_seq", "opt_start_time") if name in config}


def _config(spec: ConsumerSpec) -> dict[str, Any]:
    """With the filters in a list, also where there is one: a single one would have to stand in the subject as well."""
    config = consumer_config(spec)
    config.pop("filter_subject", None)
    return config | {"filter_subjects": sorted(spec.filters)}
