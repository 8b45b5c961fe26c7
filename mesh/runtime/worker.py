"""Worker: one operating-system process that runs some services of one region until it is asked to stop."""

import gc
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import uvloop

from mesh.errors import DeclarationError
from mesh.observability.logs import configure_logs, log
from mesh.observability.spans import exporting
from mesh.runtime.closed_together import ClosedTogether
from mesh.runtime.discovery import discover
from mesh.runtime.run import Running, running, until_asked_to_stop
from mesh.runtime.service_reports import reporting
from mesh.runtime.serving import serving
from mesh.runtime.unknown_settings import unknown_settings
from mesh.service import Service
from mesh.settings import read, read_secret
from mesh.topology.access import Access, Servers
from mesh.topology.connect import connect
from mesh.topology.derive.services import secrets_of
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import login_ending
from mesh.web.health import health_app

COLLECT_AFTER = (5_000, 10, 100)
"""The garbage collector's thresholds. A full collection visits everything that a service keeps in memory.

At Python's own (700, 10, 10) it stopped a scoring process that knows 5,000 visitors for 80 ms every few seconds.
What services make is nearly all freed without it.
"""
HEALTH = "health"
"""What the port of health and metrics is called in `Ready.ports`."""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The line a worker prints once everything is bound: what runs, and on which ports HTTP is served."""

    services: tuple[str, ...]
    ports: dict[str, int]


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen and how long to wait for the servers.

    `health_port` serves health and metrics (0: any free port): never where an HTTP service listens, so that no client
    can read them, and none can keep the orchestrator's questions from being answered.
    """

    host: str = "127.0.0.1"
    health_port: int = 0
    connect_patience_s: float = 60.0


def chosen(names: Sequence[str]) -> list[Service]:
    """The named services, or all; DeclarationError lists those there are."""
    found = {service.name: service for service in discover()}
    unknown = sorted(set(names) - set(found))
    if unknown:
        raise DeclarationError(f"no service is called {', '.join(unknown)}; there are {', '.join(found)}")
    return [found[name] for name in names] if names else list(found.values())


def access_from_environment(region: str, services: Sequence[Service]) -> Access:
    """Servers from `CARTMESH_NATS_URL`, passwords from `CARTMESH_<SERVICE>_PASSWORD`, as a cluster provides them."""
    urls = os.environ.get("CARTMESH_NATS_URL", "")
    if not urls:
        raise DeclarationError("no servers: pass --servers servers.json or set CARTMESH_NATS_URL")
    passwords = {
        service.name: os.environ.get(f"CARTMESH_{variable(service.name)}_PASSWORD", "") for service in services
    }
    servers = Servers(urls={f"{region}-{at}": url for at, url in enumerate(urls.split(","), 1)}, passwords=passwords)
    return Access(regions={region: servers}, login_ending=login_ending(os.environ))


async def work(services: Sequence[Service], region: str, access: Access, topology: Topology) -> None:
    """Run services until SIGINT or SIGTERM, then drain. Prints one `Ready` line as JSON on stdout."""
    configure_logs()
    settings, others = read(WorkerSettings), topology.others(region)
    access = msgspec.structs.replace(access, layout=topology.layout)
    zones = {one.name: one.time_zone for one in topology.regions}

    @asynccontextmanager
    async def start(service: Service) -> AsyncIterator[Running]:
        mesh = await connect(
            access, region, service.name, others=others, zones=zones, patience=settings.connect_patience_s
        )
        try:
            async with running(service, mesh, http=_address(service, settings)) as run, reporting(mesh):
                yield run
        finally:
            await mesh.broker.drain()

    with until_asked_to_stop() as stop:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(exporting())
            together = await stack.enter_async_context(ClosedTogether())
            runs = [await together.open(start(service)) for service in services]
            ports = {run.service.name: run.port for run in runs if run.port is not None}
            ports[HEALTH] = await stack.enter_async_context(
                serving(health_app(*(run.mesh for run in runs)), settings.host, settings.health_port)
            )
            # What is imported stays: a full collection need not visit it (130 ms where numpy is among it).
            gc.collect()
            gc.freeze()
            gc.set_threshold(*COLLECT_AFTER)
            ready = Ready(services=tuple(service.name for service in services), ports=ports)
            print(msgspec.json.encode(ready).decode(), flush=True)
            log.info("ready", region=region, services=ready.services, ports=ports)
            await stop.wait()
            log.info("draining", region=region, services=ready.services)


def run_until_stopped(names: Sequence[str], region: str, servers: Path | None, topology: Path) -> None:
    """The body of `cartmesh run`. DeclarationError, TopologyError, Denied or Unavailable name what is missing."""
    services = chosen(names)
    access = Access.read(servers) if servers else access_from_environment(region, services)
    # An embedded mesh may run a part of mesh.toml, and hands that part down as JSON.
    is_part = topology.suffix == ".json"
    loaded = msgspec.json.decode(topology.read_bytes(), type=Topology) if is_part else Topology.load(topology)
    loaded.region(region)
    _use_secrets(access, services)
    if servers is None:  # `cartmesh up` has looked itself
        for sentence in unknown_settings(os.environ, [service.name for service in discover()]):
            sys.stderr.write(f"cartmesh: {sentence}\n")
    uvloop.run(work(services, region, access, loaded))


def _use_secrets(access: Access, services: Sequence[Service]) -> None:
    """Take the secret settings that a mesh on one machine keeps, where the environment has no others.

    DeclarationError where one is missing, before anything is begun: with none, anybody could forge what it protects.
    """
    for name, value in access.settings.items():
        os.environ.setdefault(name, value)
    for service in services:
        for field in secrets_of(service, discover()):
            name = f"CARTMESH_{field.upper()}"
            try:
                read_secret(name, os.environ.get(name))
            except DeclarationError as error:
                raise DeclarationError(f"{service.name} does not start: {error}") from None


def variable(name: str) -> str:
    """A service's name as part of an environment variable's."""
    return name.upper().replace("-", "_")


def _address(service: Service, settings: WorkerSettings) -> tuple[str, int] | None:
    if not service.serves_http:
        return None
    return settings.host, int(os.environ.get(f"CARTMESH_PORT_{variable(service.name)}", "0"))
