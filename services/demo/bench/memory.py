"""Memory: what a region's service processes and their children hold."""

from contextlib import suppress
from typing import Any

import msgspec
import psutil

from mesh.runtime.up import Up


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Megabytes. `pss` counts a page that n processes share as 1/n in each; `rss` counts it in full in all."""

    pss: float
    rss: float
    processes: int


def held(up: Up, region: str) -> dict[str, Held]:
    """By process of a region's services, and `all` of them together."""
    by_name = {name: _held(child.process.pid) for (where, name), child in up.children.items() if where == region}
    by_name["all"] = Held(
        pss=round(sum(one.pss for one in by_name.values()), 1),
        rss=round(sum(one.rss for one in by_name.values()), 1),
        processes=sum(one.processes for one in by_name.values()),
    )
    return by_name


def _used(process: psutil.Process) -> Any:
    """What it holds; without pss where it lets nobody look into its memory, as the process of functions does."""
    try:
        return process.memory_full_info()
    except psutil.AccessDenied:
        return process.memory_info()


def _held(pid: int) -> Held:
    pss = rss = 0
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            used = _used(process)
            pss, rss = pss + getattr(used, "pss", used.rss), rss + used.rss
    return Held(pss=round(pss / 2**20, 1), rss=round(rss / 2**20, 1), processes=len(family))
