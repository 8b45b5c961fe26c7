"""Frames: what a process of functions is told and answers, each with its length before it (4 bytes, MessagePack)."""

from datetime import datetime
from typing import Literal

import msgspec

from mesh.function import Emit

LONGEST = 4 << 20
"""Bytes of the longest frame from a function, which holds what it emits."""
HEAD = 4


class Load(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Import this file. `folder` is where it may import files from that begin with `_`."""

    path: str
    source: str
    folder: str
    memory: int
    cpu: float


class Call(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Call a function with an event, which is the `data` of a CloudEvent of this wire type."""

    function: str
    event_type: str
    data: bytes
    id: str
    time: datetime
    region: str
    attempt: int
    deadline: datetime


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A function of the file. `types` are wire types, `filters` JSON, `deadline` seconds (None: what is allowed)."""

    name: str
    types: tuple[str, ...]
    filters: bytes = b"[]"
    publishes: tuple[str, ...] = ()
    retries: int = 8
    deadline: float | None = None
    summary: str = ""


class Loaded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The file was imported, and declares these."""

    functions: tuple[Declared, ...]


class Returned(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The function returned, and wants this published."""

    emitted: tuple[Emit, ...]


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The file was not imported, or the function raised. `after` is in seconds, where it asked to be called again.

    `final`: the process is of no more use.
    """

    reason: str
    trace: str = ""
    outcome: Literal["failed", "again", "buried"] = "failed"
    after: float = 0.0
    final: bool = False


Order = Load | Call
Answer = Loaded | Returned | Failed
_encoder = msgspec.msgpack.Encoder()
decode_order = msgspec.msgpack.Decoder(Order).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


def framed(frame: Order | Answer) -> bytes:
    """A frame as it is sent."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(HEAD, "big") + body
