"""The command `logs`: what the services and servers of an embedded mesh wrote."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from mesh.errors import TopologyError

if TYPE_CHECKING:
    from mesh.runtime.process_list import ListedProcess

_LOOKED_EVERY_S = 0.25


def commands(app: App) -> None:
    """Add it to the root command."""
    app.command(logs)


def logs(
    *names: str,
    dir: Path = Path(),
    region: str | None = None,
    lines: int = 20,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
) -> None:
    """Print what processes of `cartmesh up` wrote last, each line behind the name of its process.

    Services that share a process share its log. Files grow to 10 MB, and two older parts of each are kept.

    Parameters
    ----------
    names
        Services, processes or servers (`carts`, `eu-worker`, `eu-1`, `inbox`); all of them when none is named.
    dir
        The folder that `cartmesh up` was given, or has printed.
    region
        Only what belongs to this one.
    lines
        How many lines of each process.
    follow
        Go on with what is written from now on, until ctrl-c.
    """
    from mesh.runtime.log_files import LogReader  # noqa: PLC0415  other commands read none

    readers = {one.name: LogReader(dir / one.log) for one in _chosen(dir, names, region)}
    for name, log in readers.items():
        _print(name, log.last_lines(lines))
    try:
        while follow:
            for name, log in readers.items():
                _print(name, log.new_lines())
            time.sleep(_LOOKED_EVERY_S)
    except KeyboardInterrupt:
        return


def _chosen(directory: Path, names: Sequence[str], region: str | None) -> "list[ListedProcess]":
    """The processes that are asked for; TopologyError names what there is."""
    from mesh.runtime.process_list import listed_in  # noqa: PLC0415  other commands need no psutil

    writing = [one for one in listed_in(directory) if one.log]
    if not writing:
        raise TopologyError(f"no `cartmesh up` ran in {directory.absolute()}: name its folder with --dir")
    known = {name for one in writing for name in (one.name, *one.services)}
    if unknown := sorted(set(names) - known):
        raise TopologyError(f"nothing is called {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    regions = sorted({one.region for one in writing if one.region})
    if region is not None and region not in regions:
        raise TopologyError(f"no process belongs to {region}; there are {', '.join(regions)}")
    return [
        one
        for one in writing
        if (region in (None, one.region)) and (not names or {one.name, *one.services} & set(names))
    ]


def _print(name: str, lines: Sequence[bytes]) -> None:
    for line in lines:
        sys.stdout.write(f"{name} | {line.decode('utf-8', 'replace').rstrip()}\n")
    sys.stdout.flush()
