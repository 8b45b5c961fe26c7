"""Wire: JetStream's headers and JSON answers, as far as the broker needs them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
from nats.aio.msg import Msg

from mesh.broker.protocol import Message, Outgoing
from mesh.errors import DeclarationError, MeshError, Unavailable

STORED = "Cartmesh-Stored"
"""The header that says when a message was stored, where that was before its stream was made again from copies."""
NOT_FOUND = {10037, 10043, 10059}
"""JetStream's error codes for a message, a sequence or a stream that is not there."""
_EXPECTED, _EXPECTED_OF = "Nats-Expected-Last-Subject-Sequence", "Nats-Expected-Last-Subject-Sequence-Subject"


class Failure(msgspec.Struct):
    """An API error."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class Ack(msgspec.Struct):
    """The answer to a stored message or batch."""

    seq: int = 0
    duplicate: bool = False
    error: Failure | None = None


class Found(msgspec.Struct):
    """A message as the leader gives it; data and headers in base64."""

    subject: str
    seq: int
    time: datetime
    data: str = ""
    hdrs: str = ""


class GetReply(msgspec.Struct):
    """The answer to a get."""

    message: Found | None = None
    error: Failure | None = None


class Filtered(msgspec.Struct, frozen=True):
    """What is used of a consumer's configuration."""

    filter_subject: str = ""
    filter_subjects: tuple[str, ...] = ()

    @property
    def filters(self) -> frozenset[str]:
        """The subjects that it delivers; the server has one of them and several in different fields."""
        return frozenset(self.filter_subjects or ((self.filter_subject,) if self.filter_subject else ()))


class Info(msgspec.Struct):
    """What is used of a consumer's state."""

    name: str = ""
    created: datetime = datetime.min.replace(tzinfo=UTC)
    num_pending: int = 0
    num_ack_pending: int = 0
    num_redelivered: int = 0
    config: Filtered = Filtered()
    error: Failure | None = None


decode_ack = msgspec.json.Decoder(Ack).decode
decode_get = msgspec.json.Decoder(GetReply).decode
decode_info = msgspec.json.Decoder(Info).decode


def outgoing_headers(message: Outgoing) -> dict[str, str]:
    """The headers for a message's id, condition, expiry and schedule; ValueError for a condition on a wildcard."""
    headers = dict(message.headers)
    if message.id is not None:
        headers["Nats-Msg-Id"] = message.id
    if message.expect is not None:
        if "*" in message.expect.subject or ">" in message.expect.subject:
            raise ValueError(f"{message.expect.subject}: only one exact subject can be expected unchanged")
        headers[_EXPECTED] = str(message.expect.sequence)
        headers[_EXPECTED_OF] = message.expect.subject
    if message.at is not None and message.target is not None:
        due = message.at.astimezone(UTC) + timedelta(microseconds=999)  # cut to milliseconds, it is still never early
        headers["Nats-Schedule"] = f"@at {due.isoformat(timespec='milliseconds').replace('+00:00', 'Z')}"
        headers["Nats-Schedule-Target"] = message.target
    if message.cancels is not None:
        headers["Nats-Scheduler"] = message.cancels
        headers["Nats-Schedule-Next"] = "purge"
    if message.ttl is not None:
        headers["Nats-TTL"] = f"{max(1, round(message.ttl.total_seconds()))}s"
    return headers


def read_message(reply: Msg) -> Message:
    """A message from a direct get."""
    headers = reply.headers or {}
    return Message(
        subject=headers["Nats-Subject"],
        body=reply.data,
        sequence=int(headers["Nats-Sequence"]),
        stored=stored_at(headers, datetime.fromisoformat(headers["Nats-Time-Stamp"])),
        headers=headers,
    )


def stored_at(headers: Mapping[str, str], by_server: datetime) -> datetime:
    """When a message was first stored, which the server of a stream that was made again does not know."""
    before = headers.get(STORED)
    return datetime.fromisoformat(before) if before else by_server


def parse_headers(raw: bytes) -> dict[str, str]:
    """Headers as they are stored (`NATS/1.0`, then a line each)."""
    lines = raw.decode().split("\r\n")[1:]
    parted = (line.partition(":") for line in lines)
    return {name: value.strip() for name, _, value in parted if name}


def is_first(message: Message) -> bool:
    """Whether a message was stored on condition that its subject had none: the server keeps that in its headers."""
    expected = message.headers.get(_EXPECTED), message.headers.get(_EXPECTED_OF)
    return expected == ("0", message.subject)


def is_removed(headers: dict[str, str]) -> bool:
    """Whether a bucket's message marks its key as removed."""
    return headers.get("KV-Operation") in ("DEL", "PURGE") or "Nats-Marker-Reason" in headers


def refused(region: str, failure: Failure, what: str) -> MeshError:
    """The error to raise for a request that JetStream refused."""
    reason = f"{region}: {what}: {failure.description} ({failure.code}/{failure.err_code})"
    # 4xx that no retry can mend (bad headers, message too large); 429 and 5xx pass.
    return DeclarationError(reason) if failure.code == 400 else Unavailable(reason)
