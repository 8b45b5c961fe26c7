"""Process list: what an embedded mesh runs, in `processes.json`: for `cartmesh status`, and for the next start.

A process is identified by its id and the time at which the system started it: an id alone may be another's by now.
"""

import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import psutil

FILE = "processes.json"
ProcessKind = Literal["up", "server", "service", "companion"]
ProcessState = Literal["starting", "running", "restarting", "stopped", "gone"]
Note = Callable[[str, ProcessState, int | None], None]
"""Is told a process's name, its state, and its id where that is new."""
_SAME_START_S = 2.0
"""By so much two readings of one process's start may differ: Linux counts it from a boot time in whole seconds."""
_PATIENCE_S = 25.0
_GONE_S = 10.0


class ListedProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process of an embedded mesh. `pid` and `began` (seconds since 1970) are None while there is none.

    `restarts`: how often it was started again after it had ended unasked, since `cartmesh up` began. `log` is a path
    below the mesh's folder. `gone`: listed as running by a `cartmesh up` that has ended, or was killed.
    """

    name: str
    kind: ProcessKind
    region: str = ""
    services: tuple[str, ...] = ()
    log: str = ""
    state: ProcessState = "starting"
    pid: int | None = None
    began: float | None = None
    restarts: int = 0

    @property
    def system_process(self) -> psutil.Process | None:
        """The process, where it still runs."""
        if self.pid is None or self.began is None:
            return None
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.began) <= _SAME_START_S and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


class ProcessList:
    """The list as its owner keeps it: every change is written at once."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._listed: dict[str, ListedProcess] = {}

    def add(self, listed: ListedProcess) -> None:
        """List a process that is about to start, or that runs and has its `pid`."""
        self._listed[listed.name] = listed
        self.note(listed.name, listed.state, listed.pid)

    def note(self, name: str, state: ProcessState, pid: int | None = None) -> None:
        """A process is in this state now; without a `pid` it is the one before, or none where it ended."""
        before = self._listed[name]
        again = before.state == "restarting" and state == "starting"
        listed = msgspec.structs.replace(before, state=state, restarts=before.restarts + again)
        if pid is not None:
            listed = msgspec.structs.replace(listed, pid=pid, began=_began(pid))
        elif state in ("restarting", "stopped"):
            listed = msgspec.structs.replace(listed, pid=None, began=None)
        self._listed[name] = listed
        self._write()

    def stopped(self) -> None:
        """All of them were stopped on purpose."""
        for name in self._listed:
            self.note(name, "stopped")

    def _write(self) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(list(self._listed.values())))
        fresh.replace(self._path)


def unlisted(name: str, state: ProcessState, pid: int | None) -> None:
    """The `Note` of those who keep no list."""


def listed_in(directory: Path) -> list[ListedProcess]:
    """What runs in a folder, or ran there last; nothing where no `cartmesh up` ever did."""
    try:
        written = (directory / FILE).read_bytes()
    except OSError:
        return []
    found = msgspec.json.decode(written, type=list[ListedProcess])
    return [_as_it_is(one) for one in found]


def end_left_over(directory: Path) -> list[str]:
    """End what a `cartmesh up` that was killed left running in a folder: services first, then servers; their names.

    Only for whoever holds the folder's lock: then no other mesh runs there.
    """
    left = [one for one in listed_in(directory) if one.kind != "up" and one.system_process is not None]
    for kinds in (("service",), ("companion",), ("server",)):
        _end([process for one in left if one.kind in kinds and (process := one.system_process)])
    return [one.name for one in left]


def _as_it_is(listed: ListedProcess) -> ListedProcess:
    if listed.pid is not None and listed.system_process is None:
        return msgspec.structs.replace(listed, state="gone", pid=None, began=None)
    return listed


def _end(processes: Sequence[psutil.Process]) -> None:
    """Ask them to end, and kill those that do not."""
    _send(signal.SIGTERM, processes)
    _, alive = psutil.wait_procs(processes, timeout=_PATIENCE_S)
    _send(signal.SIGKILL, alive)
    psutil.wait_procs(alive, timeout=_GONE_S)


def _send(number: signal.Signals, processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _began(pid: int) -> float | None:
    with suppress(psutil.Error):
        return float(psutil.Process(pid).create_time())
    return None
