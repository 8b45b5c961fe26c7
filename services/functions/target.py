"""Target: what functions are called in. A file's process, or an address outside that CloudEvents are posted to."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from mesh import Received
from mesh.errors import InvalidField, MeshError
from mesh.event import declaration_of
from mesh.events.function import FunctionEmitted
from mesh.filters import Matches, compiled
from mesh.function import Emit
from services.functions.frames import Declared


class Refused(Exception):
    """A file cannot be used; says why, with a trace where there is one."""

    def __init__(self, reason: str, trace: str = "") -> None:
        super().__init__(reason)
        self.reason, self.trace = reason, trace


class FunctionFailed(MeshError):
    """A call failed: it is made again, and counts."""


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a call: what to publish, or the error to raise; what was written, and how many bytes more were."""

    emitted: tuple[Emit, ...] = ()
    error: Exception | None = None
    output: str = ""
    dropped: int = 0


class Target(Protocol):
    """One version of one file. `started` is how many milliseconds it took to load, set by who loads it."""

    version: str
    started: float
    declared: tuple[Declared, ...]

    async def load(self) -> None:
        """Begin. Raises Refused."""
        ...

    async def call(self, declared: Declared, received: Received) -> Called:
        """Call one of its functions. Raises Retry where it cannot be called now."""
        ...

    async def close(self) -> None:
        """Finish the call that is under way, and end."""
        ...


def matcher(declared: Declared) -> Matches:
    """Its filters. Raises Refused."""
    try:
        return compiled(msgspec.json.decode(declared.filters), path="filter")
    except InvalidField as wrong:
        raise Refused(f"{declared.name}: {wrong.path}: {wrong.reason}") from None


def attributes(received: Received[Any]) -> Mapping[str, str]:
    """The CloudEvents attributes that filters look at; of what a function emitted also its `name`."""
    declaration = declaration_of(type(received.event))
    named = {"name": received.event.name} if isinstance(received.event, FunctionEmitted) else {}
    return named | {
        "specversion": "1.0",
        "id": received.id,
        "source": f"/{received.region}/{received.source}",
        "type": declaration.type,
        "subject": getattr(received.event, declaration.key),
        "time": received.time.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
    }
