"""Function file: one file of the folder, the version of it that runs, and what is wrong with the newest one."""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from mesh.filters import Matches
from services.functions.folder import FoundFile
from services.functions.frames import Declared
from services.functions.target import Target

RECENT = timedelta(minutes=5)
"""Of how long calls are counted here."""
_MOST = 50_000


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why the newest version of a file does not run. `taken`: because of a name that another file has."""

    reason: str
    trace: str = ""
    since: datetime
    taken: bool = False


class FunctionView(msgspec.Struct, frozen=True, kw_only=True):
    """A function as it is shown. Counts are those of this process in the last five minutes."""

    name: str
    summary: str
    types: tuple[str, ...]
    filters: str
    publishes: tuple[str, ...]
    calls: int
    failures: int
    last_error: str | None


class FileView(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it is shown. Where there is a `problem` and a `version`, that version goes on running.

    `started` is how many milliseconds it took to start its process and to import it.
    """

    file: str
    version: str | None
    since: datetime
    started: float
    problem: Problem | None
    functions: tuple[FunctionView, ...]


@dataclass
class Live:
    """A function that runs."""

    declared: Declared
    matches: Matches
    ends: deque[tuple[datetime, bool]] = field(default_factory=lambda: deque(maxlen=_MOST))
    last_error: str | None = None

    def note(self, error: str | None) -> None:
        """A call ended."""
        self.ends.append((datetime.now(UTC), error is not None))
        self.last_error = error or self.last_error

    def view(self) -> FunctionView:
        """As it is shown."""
        while self.ends and self.ends[0][0] < datetime.now(UTC) - RECENT:
            self.ends.popleft()
        one = self.declared
        return FunctionView(
            name=one.name,
            summary=one.summary,
            types=one.types,
            filters="" if one.filters == b"[]" else one.filters.decode(),
            publishes=one.publishes,
            calls=len(self.ends),
            failures=sum(failed for _, failed in self.ends),
            last_error=self.last_error,
        )


@dataclass
class FunctionFile:
    """One file. `read` is what was read of it last."""

    name: str
    read: FoundFile | None = None
    target: Target | None = None
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    problem: Problem | None = None
    live: dict[str, Live] = field(default_factory=dict)

    def view(self) -> FileView:
        """As it is shown."""
        return FileView(
            file=self.name,
            version=self.target.version if self.target else None,
            since=self.since,
            started=self.target.started if self.target else 0.0,
            problem=self.problem,
            functions=tuple(one.view() for one in self.live.values()),
        )
