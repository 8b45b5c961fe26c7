"""Up: the whole mesh on this machine: servers, every service of every region, and companions such as the inbox."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import entry_points
from pathlib import Path
from typing import Self

import msgspec

from mesh.broker.connection import Connection
from mesh.mesh import Mesh
from mesh.runtime.discovery import discover
from mesh.runtime.folder_lock import alone_in
from mesh.runtime.fork_server import ForkServer
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.log_files import SERVER_LOG, keep_bounded
from mesh.runtime.ports import free_ports, usual_port
from mesh.runtime.process_list import ListedProcess, ProcessKind, ProcessList, end_left_over
from mesh.runtime.supervised_process import Child, stop_all
from mesh.runtime.worker import Ready, chosen, variable
from mesh.service import Service
from mesh.topology.access import Access, Servers
from mesh.topology.apply import apply
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import OPERATOR, Secrets, secret_settings, settings_as_variables

COMPANIONS = "cartmesh.companions"
"""Entry points with a command's arguments; `--dir` is added, and `--usual-ports` where people look for it there."""


class Companion(msgspec.Struct, frozen=True, kw_only=True):
    """What a companion prints when it is ready: addresses for people, settings for the services."""

    addresses: dict[str, str]
    environment: dict[str, str] = {}


SERVER_KEYS = "server-keys.json"
"""The file of the key that `CARTMESH_SERVER_KEYS` is where nobody sets it, for its owner alone."""


class Up:
    """An embedded mesh, as an asynchronous context manager: drained and gone when the block ends.

    `directory` keeps data, logs, `servers.json`, random secrets and a server key; without it a temporary folder is used
    and removed. `environment` is passed to every service. `companions=False` starts none; services that are a demo
    start with `demo` alone. `only` names the services that start, instead of all; DeclarationError for an unknown one.
    `urls` (region -> address) uses servers that run already, without passwords, instead of starting some.
    With `for_people` services get the ports that they declare, as far as those are free, and know the directory
    (`CARTMESH_DIRECTORY`), and a server that dies is started again. `report` is called with each step of the start, and
    with what stops later.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
        companions: bool = True,
        demo: bool = False,
        only: Sequence[str] = (),
        urls: Mapping[str, str] | None = None,
        for_people: bool = False,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.topology, self.environment = topology, dict(environment or {})
        self._for_people, self._report = for_people, report
        self._directory, self._companions, self._demo, self._existing = directory, companions, demo, dict(urls or {})
        self._only = {service.name for service in chosen(only)}
        self._stack = AsyncExitStack()
        self._children: dict[tuple[str, str], Child] = {}
        self._list: ProcessList
        self._process_names: dict[tuple[str, str], str] = {}
        self._operators: dict[str, Mesh] = {}
        self._fork_server: ForkServer | None = None
        self.companions: dict[str, Companion] = {}
        self.urls: dict[str, dict[str, str]] = {}
        """Region -> HTTP service -> base URL."""
        self.servers: LocalServers

    async def __aenter__(self) -> Self:
        """Start everything; whatever fails, nothing is left running."""
        await self._stack.__aenter__()
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drain all services at once, then stop the companions, then the servers."""
        await self._stack.aclose()

    # What there is

    def gateway(self, region: str) -> str:
        """Base URL of a region's gateway."""
        return self.urls[region]["gateway"]

    def child(self, region: str, name: str) -> Child:
        """The process that runs a service in a region; several share `worker`, or `apis`."""
        return self._children[region, name if (region, name) in self._children else self._process_names[region, name]]

    @property
    def children(self) -> dict[tuple[str, str], Child]:
        """All service processes by region and name."""
        return dict(self._children)

    async def operator(self, region: str) -> Mesh:
        """A mesh connected as operator: reads everything in a region."""
        if region not in self._operators:
            mesh = await connect(self.access, region, OPERATOR, others=self.topology.others(region))
            self._stack.push_async_callback(mesh.broker.drain)
            self._operators[region] = mesh
        return self._operators[region]

    # Starting

    async def _start(self) -> None:
        if self._directory is None:
            temporary = tempfile.TemporaryDirectory(prefix="cartmesh-", ignore_cleanup_errors=True)
            self._stack.callback(temporary.cleanup)
            self._directory = Path(temporary.name)
        self.directory = self._directory.absolute()
        self._logs = self.directory / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._stack.enter_context(alone_in(self.directory, "up.lock"))
        await self._list_processes()
        if sys.platform == "linux":
            self._fork_server = ForkServer(self._logs / "fork-server.log")
            self._stack.push_async_callback(self._fork_server.close)
            await self._fork_server.open()
        services = discover()
        self.access = await (self._use_existing(services) if self._existing else self._start_servers(services))
        self.servers_file = self.directory / "servers.json"
        self.access.write(self.servers_file)
        self._topology_file = self.directory / "topology.json"
        self._topology_file.write_bytes(msgspec.json.encode(self.topology))
        services = [one for one in services if one.name in self._only and (self._demo or not one.demo)]
        self.urls = self._addresses([service for service in services if service.serves_http])
        self.environment = _acquaintance(self.urls) | self.environment
        self.environment.setdefault("CARTMESH_SERVER_KEYS", _server_keys(self.directory))
        if self._for_people:
            self.environment = {"CARTMESH_DIRECTORY": str(self.directory)} | self.environment
        if self._for_people and "CARTMESH_LAKE" not in os.environ:
            self.environment.setdefault("CARTMESH_LAKE", str(self.directory / "lake"))
        if self._companions:
            await self._start_companions()
        self._stack.push_async_callback(self._stop_services)
        await asyncio.gather(*(self._start_region(region, services) for region in self.topology.names))

    async def _list_processes(self) -> None:
        """End what a killed `up` left running in this folder, and keep the list of what this one starts."""
        left = await asyncio.to_thread(end_left_over, self.directory)
        if left:
            self._report(f"ended what was still running here from before: {', '.join(left)}")
        self._list = ProcessList(self.directory)
        self._stack.callback(self._list.stopped)
        self._list.add(ListedProcess(name="up", kind="up", state="running", pid=os.getpid()))
        bounding = asyncio.create_task(keep_bounded(self.directory))
        self._stack.callback(bounding.cancel)

    async def _start_servers(self, services: Sequence[Service]) -> Access:
        count = sum(region.nodes for region in self.topology.regions)
        for region in self.topology.regions:
            for name in region.servers:
                self._list.add(ListedProcess(name=name, kind="server", region=region.name, log=f"{name}/{SERVER_LOG}"))
        self._report(f"starting {count} NATS {'server' if count == 1 else 'servers'}, and making their streams")
        self.servers = await self._stack.enter_async_context(
            LocalServers(self.topology, self.directory, services=services, note=self._list.note)
        )
        if self._for_people:
            self.servers.restart_dead(self._report)
        return self.servers.access

    async def _stop_services(self) -> None:
        await stop_all(self._children.values())

    async def _use_existing(self, services: Sequence[Service]) -> Access:
        users = {OPERATOR: "", **{service.name: "" for service in services}}
        kept = Secrets.kept(self.directory / "secrets.json", {}, settings=secret_settings(services))
        access = Access(
            layout=self.topology.layout,
            settings=settings_as_variables(kept, services),
            regions={
                region: Servers(urls={f"{region}-1": url}, passwords=users) for region, url in self._existing.items()
            },
        )
        connections = {region: await Connection.open(access.login(region)) for region in self._existing}
        try:
            await apply(self.topology, services, connections)
        finally:
            for connection in connections.values():
                await connection.drain()
        return access

    def _addresses(self, services: Sequence[Service]) -> dict[str, dict[str, str]]:
        """Region -> HTTP service -> base URL: for people on the ports they know, else on any that are free now."""
        ports = iter(free_ports(len(self.topology.names) * len(services)))

        def port(service: Service, region: str, at: int) -> int:
            if not (self._for_people and service.port):
                return next(ports)
            chosen = self._stack.enter_context(usual_port(service.port + at))
            if chosen != service.port + at:
                self._report(f"port {service.port + at} is taken: {service.name} {region} is at {chosen}")
            return chosen

        return {
            region: {service.name: f"http://127.0.0.1:{port(service, region, at)}" for service in services}
            for at, region in enumerate(self.topology.names)
        }

    async def _start_companions(self) -> None:
        for found in sorted(entry_points(group=COMPANIONS), key=lambda one: one.name):
            self._report(f"starting the {found.name}")
            arguments: Sequence[str] = found.load()
            folder = self.directory / found.name
            folder.mkdir(exist_ok=True)
            more = ("--dir", str(folder), *(["--usual-ports"] if self._for_people else []))
            self._list.add(self._listed(found.name, "companion"))
            child = self._child(found.name, (*arguments, *more), self.environment)
            self._stack.push_async_callback(child.stop)
            await child.start()
            companion = self.companions[found.name] = msgspec.json.decode(child.line, type=Companion)
            self.environment = companion.environment | self.environment

    async def _start_region(self, region: str, services: Sequence[Service]) -> None:
        environment = dict(self.environment)
        for name, url in self.urls[region].items():
            environment[f"CARTMESH_PORT_{variable(name)}"] = url.rpartition(":")[2]
            environment[f"CARTMESH_URL_{variable(name)}"] = url
        groups: dict[str, list[str]] = {}
        for service in services:
            if service.needs_process:
                groups.setdefault(_process_of(service), []).append(service.name)
        self._process_names |= {(region, name): process for process, names in groups.items() for name in names}
        self._report(f"starting the services of {region}: {', '.join(service.name for service in services)}")
        await asyncio.gather(*(self._start_child(region, name, names, environment) for name, names in groups.items()))

    async def _start_child(self, region: str, name: str, names: list[str], environment: Mapping[str, str]) -> None:
        files = ("--servers", str(self.servers_file), "--topology", str(self._topology_file))
        command = ("run", *names, "--region", region, *files)
        self._list.add(self._listed(f"{region}-{name}", "service", region, names))
        child = self._children[region, name] = self._child(f"{region}-{name}", command, environment)
        await child.start()

    def _child(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Child:
        """A process of `cartmesh`: a fork where the kernel ends it with the server that forks it, as Linux does."""
        if self._fork_server is None:
            command = [sys.executable, "-m", "mesh.cli", *arguments]
            return Child(name, command, environment, self._logs, note=self._list.note)
        return Child(name, arguments, environment, self._logs, self._fork_server.start, self._list.note)

    @staticmethod
    def _listed(name: str, kind: ProcessKind, region: str = "", services: Sequence[str] = ()) -> ListedProcess:
        return ListedProcess(name=name, kind=kind, region=region, services=tuple(services), log=f"logs/{name}.log")

    def ports(self, region: str, name: str) -> dict[str, int]:
        """The ports a service process listens on: its HTTP services' and `health` (health and metrics)."""
        return msgspec.json.decode(self.child(region, name).line, type=Ready).ports


def _process_of(service: Service) -> str:
    """The process that a service shares on one machine, or its own, called like it.

    What others would wait for has its own: the gateway, heavy work, and pages that follow the streams. Pages that only
    people use, and now and then, are served beside the handlers of other services; interfaces for programs together.
    """
    follows = any(binding.fanout for binding in service.bindings)
    if service.alone or service.hosts or (service.pages and follows) or service.demo:
        return service.name
    return "worker" if service.app is None else "apis"


def _server_keys(directory: Path) -> str:
    """The keys for what only a shop's servers may send: those of this process's environment, or else one that is kept.

    What was signed with it, such as a link in a mail, is still good after the next start.
    """
    given = os.environ.get("CARTMESH_SERVER_KEYS")
    return given or Secrets.kept(directory / SERVER_KEYS, {}, settings=["server_keys"]).setting("server_keys")


def _acquaintance(urls: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The settings by which this mesh's own pages and services reach each other, in any region.

    `CARTMESH_URLS_<SERVICE>` holds each HTTP service's addresses (region=URL, separated by spaces).
    `CARTMESH_CORS_ORIGINS` lets the pages of all of them call the gateways.
    """
    names = next(iter(urls.values()), {})
    addresses = {
        f"CARTMESH_URLS_{variable(name)}": " ".join(f"{region}={of[name]}" for region, of in urls.items())
        for name in names
    }
    pages = [origin for origin in os.environ.get("CARTMESH_CORS_ORIGINS", "").split(",") if origin]
    pages += [url for of in urls.values() for url in of.values()]
    return {"CARTMESH_CORS_ORIGINS": ",".join(pages), **addresses}
