"""Stream information: what JetStream's leaders report of a stream and its consumers, and event counters.

An event counter is a consumer that nobody pulls from: its `num_pending` is how many messages under its filter
the stream stored since its start, kept by the server (ADR-13: consumer info). It lives in memory on one server.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from secrets import token_hex

import msgspec
from nats.aio.msg import Msg

from mesh.broker.connection import Connection, status
from mesh.broker.protocol import ConsumerState, StreamState
from mesh.broker.wire import Failure, decode_info
from mesh.errors import MeshError, Unavailable

SOON = 1.0
"""Seconds within which a leader answers; one that does not is being elected, or its server is down."""
SILENT_NS = 3_000_000_000
"""A replica that the leader has no sign of for so long is down; healthy ones answer it every second."""
BEGUN_WITHIN = 2.5
"""Seconds for a count to begin: its server is chosen, and what is there already is counted."""
_BRIEFLY = timedelta(seconds=5)


class _Peer(msgspec.Struct):
    name: str
    current: bool = False
    offline: bool = False
    active: int = 0


class _Cluster(msgspec.Struct):
    leader: str = ""
    replicas: list[_Peer] = []


class _Held(msgspec.Struct):
    messages: int = 0
    last_seq: int = 0


class _StreamInfo(msgspec.Struct):
    state: _Held = msgspec.field(default_factory=_Held)
    cluster: _Cluster = msgspec.field(default_factory=_Cluster)
    error: Failure | None = None


_decode_stream = msgspec.json.Decoder(_StreamInfo).decode


async def stream_state(connection: Connection, stream: str) -> StreamState:
    """See Broker."""
    info = _decode_stream(_data(await connection.request(f"$JS.API.STREAM.INFO.{stream}", b"", wait=SOON)))
    if info.error is not None:
        raise Unavailable(f"{connection.login.region}: {stream}: {info.error.description}")
    # `active` is 0 for a server that was down before the leader was elected.
    reachable = {peer.name: not peer.offline and 0 < peer.active < SILENT_NS for peer in info.cluster.replicas}
    own = {info.cluster.leader: True} if info.cluster.leader else {}
    return StreamState(messages=info.state.messages, last=info.state.last_seq, servers=reachable | own)


async def consumer_states(connection: Connection, stream: str, names: Sequence[str]) -> dict[str, ConsumerState]:
    """See Broker."""
    asked = [(f"$JS.API.CONSUMER.INFO.{stream}.{name}", b"", dict[str, str]()) for name in names]
    found = {}
    for name, reply in zip(names, await connection.request_each(asked, wait=SOON), strict=True):
        if isinstance(reply, Unavailable):
            continue
        if isinstance(reply, MeshError):
            raise reply
        info = decode_info(_data(reply))
        if info.error is None:
            found[name] = ConsumerState(
                begun=info.created,
                pending=info.num_pending,
                ack_pending=info.num_ack_pending,
                redelivered=info.num_redelivered,
                filters=info.config.filters,
            )
    return found


async def create_event_counter(connection: Connection, stream: str, name: str, subject: str, keep: timedelta) -> None:
    """See Broker."""
    await _counter(connection, stream, name, subject, keep, {"deliver_policy": "new"})


async def delete_event_counter(connection: Connection, stream: str, name: str) -> None:
    """See Broker."""
    await connection.request(f"$JS.API.CONSUMER.DELETE.{stream}.{name}", b"", wait=SOON)


async def count(connection: Connection, stream: str, subject: str, since: datetime) -> int:
    """See Broker."""
    start = {"deliver_policy": "by_start_time", "opt_start_time": since.astimezone(UTC).isoformat()}
    return await _counter(connection, stream, f"count-{token_hex(8)}", subject, _BRIEFLY, start)


async def _counter(
    connection: Connection, stream: str, name: str, subject: str, keep: timedelta, start: dict[str, str]
) -> int:
    config = {
        "name": name,
        "ack_policy": "none",
        "filter_subject": subject,
        "inactive_threshold": int(keep.total_seconds() * 1e9),
        "mem_storage": True,
        "num_replicas": 1,
        **start,
    }
    asked = msgspec.json.encode({"stream_name": stream, "config": config, "action": "create"})
    # The filter stands in the subject, and so in what a user may ask for: the server refuses another one inside.
    at = f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{subject}"
    info = decode_info(_data(await connection.request(at, asked, wait=BEGUN_WITHIN)))
    if info.error is not None:
        raise Unavailable(f"{connection.login.region}: {stream} does not count {subject}: {info.error.description}")
    return info.num_pending


def _data(reply: Msg) -> bytes:
    """The answer, or an error where nobody serves JetStream's API."""
    if status(reply) == "503":
        return b'{"error": {"code": 503, "description": "JetStream has no leader just now"}}'
    return reply.data
