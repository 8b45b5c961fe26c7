"""What came in from outside, and what of it was refused: for those who connect a shop. Without personal data."""

from datetime import datetime, timedelta

import msgspec

from mesh.event import Event, event


class RefusedPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a request that was refused, or from which nothing followed: its place, name, field and the reason."""

    index: int
    name: str
    path: str
    reason: str


class SeenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request: when, in whose form (`source`), by which key or signer, and what became of it.

    `sender` is the scope of a key, which says nothing of the key itself, or the name of who signed; empty where nobody
    was known. `took` is in milliseconds. `shape` are the fields of the first part that was refused, else of the first
    of all, each with the type of its value and never the value.
    """

    at: datetime
    source: str
    path: str
    sender: str
    by: str
    status: int
    parts: int
    accepted: int
    duplicates: int
    took: float
    reason: str = ""
    names: tuple[str, ...] = ()
    refused: tuple[RefusedPart, ...] = ()
    ignored: tuple[RefusedPart, ...] = ()
    not_understood: tuple[RefusedPart, ...] = ()
    shape: tuple[str, ...] = ()


@event(key="reporter", ttl=timedelta(days=1))
class ConnectionReported(Event):
    """A process that takes requests from outside reports those that came in since its last report, oldest first.

    Of very many the first refused and the newest are reported; `left_out` counts the others.
    """

    reporter: str
    requests: tuple[SeenRequest, ...]
    left_out: int = 0
