"""`cartmesh up` as people meet it: starts the mesh, says what it does, prints where everything is, waits for ctrl-c."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

import uvloop
from rich.console import Console
from rich.table import Table

from mesh.errors import TopologyError
from mesh.observability.logs import configure_logs
from mesh.runtime.discovery import discover
from mesh.runtime.run import until_asked_to_stop
from mesh.runtime.unknown_settings import unknown_settings
from mesh.runtime.up import Up
from mesh.topology.mesh_toml import Topology


def keep_up(
    topology: Path,
    regions: Sequence[str],
    nodes: int | None,
    directory: Path | None,
    environment: Mapping[str, str],
    urls: Mapping[str, str] | None = None,
    *,
    first: Sequence[str] = (),
) -> None:
    """Keep a mesh up until SIGINT or SIGTERM, then drain it. TopologyError for unknown regions.

    `urls`: servers to use instead of starting some. `first`: HTTP services whose addresses are printed first.
    """
    configure_logs(level="WARNING")
    whole = Topology.load(topology)
    unknown = sorted(set(urls or ()) - set(whole.names))
    if unknown:
        raise TopologyError(f"--url names {', '.join(unknown)}; {topology} has {', '.join(whole.names)}")
    chosen = whole.only(*(regions or urls or ()), nodes=nodes)
    for sentence in unknown_settings(os.environ, [service.name for service in discover()]):
        _say(f"warning: {sentence}")
    mesh = Up(chosen, directory=directory, environment=environment, demo=True, urls=urls, for_people=True, report=_say)
    uvloop.run(_keep_up(mesh, first))


def command_line(*words: str) -> str:
    """`cartmesh ...` so that it runs as it is printed: by the name where that finds this program, else by its path."""
    program = Path(sys.argv[0])
    found = shutil.which("cartmesh")
    if found and program.exists() and Path(found).resolve() == program.resolve():
        return shlex.join(["cartmesh", *words])
    if program.name == "cartmesh":
        return shlex.join([str(program), *words])
    return shlex.join([sys.executable, "-m", "mesh.cli", *words])


def _say(line: str) -> None:
    """A line for whoever watches, at once, also through a pipe."""
    print(line, flush=True)


async def _keep_up(mesh: Up, first: Sequence[str]) -> None:
    began = monotonic()
    with until_asked_to_stop() as stop:
        async with mesh:
            Console().print(_addresses(mesh, first))
            for region, link in (await _first_links(mesh)).items():
                _say(f"first sign-in {region}, once: {link}")
            _say(f"status: {command_line('status', '--servers', str(mesh.servers_file))}")
            _say(f"logs: {command_line('logs', '--dir', str(mesh.directory))}")
            _say(f"ready after {monotonic() - began:.0f} s; ctrl-c stops everything")
            await stop.wait()
            _say("draining the services, then the servers")
            began = monotonic()
    _say(f"stopped after {monotonic() - began:.0f} s")


async def _first_links(mesh: Up) -> dict[str, str]:
    """Region -> the link with which its first administrator is created, where nobody has an account yet."""
    from mesh.web.invitations import first_link  # noqa: PLC0415  needed once, when all else has started

    made = {}
    for region, services in mesh.urls.items():
        if "console" in services and (link := await first_link(await mesh.operator(region), services["console"])):
            made[region] = link
    return made


def _addresses(mesh: Up, first: Sequence[str]) -> Table:
    found = [(name, region, url) for region, services in mesh.urls.items() for name, url in services.items()]
    companions = [pair for companion in mesh.companions.values() for pair in companion.addresses.items()]
    table = Table("what", "where", title="cartmesh is up")
    for name in first:
        for _, region, url in (one for one in found if one[0] == name):
            table.add_row(f"{name} {region}", url, style="bold")
    for name, address in companions:
        table.add_row(name, address, style="bold")
    for name, region, url in (one for one in found if one[0] not in first):
        table.add_row(f"{name} {region}", url)
    if lake := mesh.environment.get("CARTMESH_LAKE"):
        table.add_row("lake", lake)
    table.add_row("logs and data", str(mesh.directory))
    return table
