"""Local servers: the whole mesh as real `nats-server` processes on loopback, from the same configurations."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import starmap
from pathlib import Path
from types import TracebackType
from typing import Self

from mesh.broker import copy_resets
from mesh.broker.connection import Connection, Login
from mesh.errors import MeshError, TopologyError
from mesh.runtime.folder_lock import alone_in
from mesh.runtime.free_addresses import LOOPBACK, free_addresses
from mesh.runtime.log_files import SERVER_LOG
from mesh.runtime.process import Process, server_binary
from mesh.runtime.process_list import Note, unlisted
from mesh.runtime.server_monitor import accepts, is_healthy, page
from mesh.runtime.server_restart import restart_dead_server
from mesh.runtime.tcp_proxy import TcpProxy
from mesh.runtime.waiting import until
from mesh.service import Service
from mesh.streams import copies
from mesh.topology.access import Access, Servers
from mesh.topology.apply import apply
from mesh.topology.derive.servers import Certificates, Plan, server_configs, users
from mesh.topology.differences import Difference
from mesh.topology.jetstream_api import api
from mesh.topology.mesh_toml import Topology
from mesh.topology.regions import Link
from mesh.topology.secrets import COPIES, OPERATOR, Secrets, secret_settings, settings_as_variables

_TRIES = 3


class LocalServers:
    """An embedded mesh of servers: `async with LocalServers(Topology.of(["us"])) as servers: ...`.

    `directory` is kept with everything in it, and another start there finds its data and passwords; without one
    a temporary folder is used and removed. Services' streams, consumers, buckets and object stores are applied.
    Links go through proxies, so that `cut` and `heal` can play a lost network. With `certificates` everything is
    spoken over TLS; clients then need `CARTMESH_NATS_CA` (mesh.trust). `note` is told when a server starts and ends.
    """

    def __init__(
        self,
        topology: Topology,
        directory: Path | str | None = None,
        services: Sequence[Service] = (),
        *,
        certificates: Certificates | None = None,
        note: Note = unlisted,
    ) -> None:
        self.topology, self.services = topology, tuple(services)
        self.applied: list[Difference] = []
        """What the start had to change."""
        self._kept, self._certificates = Path(directory) if directory else None, certificates
        self._note = note
        self._running: dict[str, Process] = {}
        self._proxies: dict[Link, list[TcpProxy]] = {}
        self._cut: set[str] = set()
        self._connections: dict[str, Connection] = {}
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the servers and apply what is declared; nothing is left running when that fails."""
        try:
            await self._start()
        except BaseException:
            await self._closing.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every server."""
        await self._closing.aclose()

    # Where things are

    @property
    def directory(self) -> Path:
        """The folder with configurations, logs and data."""
        return self._directory

    @property
    def access(self) -> Access:
        """Addresses and passwords of all regions, and the secret settings."""
        return Access(
            layout=self.topology.layout,
            settings=settings_as_variables(self._secrets, self.services),
            regions={
                region.name: Servers(
                    urls={name: self._url(name) for name in region.servers},
                    monitors={name: self.monitor(name) for name in region.servers},
                    passwords={user: self._secrets.password(region.name, user) for user in self._users[region.name]},
                )
                for region in self.topology.regions
            },
        )

    def credentials(self, region: str, service: str = OPERATOR) -> Login:
        """How a service connects to a region."""
        return self.access.login(region, service)

    def monitor(self, name: str) -> str:
        """The monitoring address of a server (`eu-1`)."""
        return f"http://{LOOPBACK}:{self.plan.addresses[name].monitor}"

    def pid(self, name: str) -> int:
        """The process id of a server (`eu-1`)."""
        return self._running[name].pid

    def write_state(self, path: Path | None = None) -> Path:
        """Keep addresses and passwords for other processes (default `servers.json` in the folder)."""
        path = path or self._directory / "servers.json"
        self.access.write(path)
        return path

    async def operator(self, region: str) -> Connection:
        """A connection as operator, kept until the servers end."""
        if region not in self._connections:
            opened = await Connection.open(self.credentials(region), name="cartmesh-operator")
            self._connections[region] = opened
            self._closing.push_async_callback(opened.drain)
        return self._connections[region]

    async def apply(
        self, services: Sequence[Service] | None = None, *, force: Collection[str] = ()
    ) -> list[Difference]:
        """Bring every region that runs to what is declared; `force` as in `mesh.topology.apply`."""
        connections = {name: await self.operator(name) for name in self.topology.names if self._runs(name)}
        chosen = self.services if services is None else services
        return await apply(self.topology, chosen, connections, force=force)

    # Breaking and mending

    async def kill_node(self, region: str, index: int) -> None:
        """SIGKILL the server `index` (from 1) of a region."""
        await self._running.pop(f"{region}-{index}").kill()

    async def start_node(self, region: str, index: int) -> None:
        """Start it again, with its data."""
        await self._launch(f"{region}-{index}")
        await until(partial(self._is_ready, region), f"{region}-{index} to come back")

    async def kill_region(self, region: str) -> None:
        """SIGKILL all servers of a region at once."""
        names = [name for name in self.topology.region(region).servers if name in self._running]
        await asyncio.gather(*(self._running.pop(name).kill() for name in names))

    async def start_region(self, region: str) -> None:
        """Start them again, with their data; returns when JetStream answers and the links that are whole are up."""
        servers = self.topology.region(region).servers
        await self._launch(*(name for name in servers if name not in self._running))
        await until(partial(self._is_ready, region), f"{region} to come back")
        await until(self._links_are_up, f"the links of {region} to come back")

    def cut(self, region: str) -> None:
        """Cut every link of a region: what is connected is reset, what comes is refused."""
        self._cut.add(region)
        for link, proxies in self._proxies.items():
            if link.joins(region):
                for proxy in proxies:
                    proxy.cut()

    async def heal(self, region: str) -> None:
        """Mend every link of a region, but those to a region that is still cut; returns when they are up."""
        self._cut.discard(region)
        for link in self._whole_links(region):
            for proxy in self._proxies[link]:
                proxy.heal()
        await until(self._links_are_up, f"the links of {region} to come back")

    def restart_dead(self, report: Callable[[str], None]) -> None:
        """From now on start a server again that ended without being asked to, and report both."""
        for name in self._running:
            ended = partial(self._note, name, "restarting", None)
            restarting = asyncio.create_task(restart_dead_server(name, self._running, self._launch, report, ended))
            self._closing.callback(restarting.cancel)

    # Inside

    def _url(self, name: str) -> str:
        scheme = "tls" if self._certificates else "nats"
        return f"{scheme}://{LOOPBACK}:{self.plan.addresses[name].client}"

    async def _start(self) -> None:
        self._directory = self._kept or Path(tempfile.mkdtemp(prefix="cartmesh-"))
        if self._kept is None:
            self._closing.callback(shutil.rmtree, self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._closing.enter_context(alone_in(self._directory))
        self._users = users(self.topology, self.services)
        settings = [*secret_settings(self.services), *self.topology.servers.keys(self.topology.names)]
        self._secrets = Secrets.kept(self._directory / "secrets.json", self._users, settings=settings)
        self._closing.push_async_callback(self._stop)
        for left in reversed(range(_TRIES)):
            try:
                await self._launch_all()
                break
            except TopologyError:
                # Somebody took one of the ports between our looking and the server's binding.
                await self._stop()
                if not left:
                    raise
        for region in self.topology.names:
            await until(partial(self._is_ready, region), f"JetStream of {region}")
        await until(self._links_are_up, "the links between the regions")
        await asyncio.gather(*map(self._serve_copy_resets, self.topology.names))
        self.applied = await self.apply()
        self.write_state()

    async def _serve_copy_resets(self, region: str) -> None:
        """Answer other regions' servers that copy, also where no service runs that does."""
        others, layout = self.topology.others(region), self.topology.layout
        connection = await Connection.open(self.credentials(region, COPIES), name="cartmesh-copies")
        self._closing.push_async_callback(connection.drain)
        await copy_resets.serve(connection, [copy for other in others for copy in copies(layout, region, other)])

    async def _launch_all(self) -> None:
        self.plan = await self._make_plan()
        await self._launch(*self.plan.addresses)

    async def _make_plan(self) -> Plan:
        addresses = free_addresses(self.topology, self._directory)
        proxies = {}
        for link in self.topology.links:
            listener = self.topology.region(link.listener)
            self._proxies[link] = [TcpProxy(LOOPBACK, addresses[name].leaf) for name in listener.servers]
            for proxy in self._proxies[link]:
                await proxy.open()
            proxies[link] = [(LOOPBACK, proxy.port) for proxy in self._proxies[link]]
        return Plan(addresses=addresses, proxies=proxies, certificates=self._certificates)

    async def _launch(self, *names: str) -> None:
        configs = server_configs(self.topology, self.services, names, self.plan, self._secrets)
        # All are waited for, so that none is still starting when those that did are ended.
        launched = await asyncio.gather(*starmap(self._start_server, configs.items()), return_exceptions=True)
        if failures := [failure for failure in launched if failure is not None]:
            raise failures[0]

    async def _start_server(self, name: str, configuration: str) -> None:
        folder = self._directory / name
        folder.mkdir(exist_ok=True)
        config = folder / "nats.conf"
        config.touch(mode=0o600)
        config.write_text(configuration, encoding="utf-8")
        process = await Process.start([server_binary(), "-c", str(config)], log=folder / SERVER_LOG)
        self._running[name] = process
        self._note(name, "starting", process.pid)
        port = self.plan.addresses[name].client
        try:
            await until(partial(accepts, process, port), f"{name} to listen")
        except MeshError as error:
            raise TopologyError(f"{name} did not start: {error}\n{process.last_output()}") from error
        self._note(name, "running", None)

    async def _stop(self) -> None:
        for proxies in self._proxies.values():
            for proxy in proxies:
                proxy.close()
        self._proxies.clear()
        running = list(self._running.values())
        self._running.clear()
        await asyncio.gather(*(process.end() for process in running))

    def _whole_links(self, region: str) -> list[Link]:
        return [link for link in self.topology.links if link.joins(region) and not self._is_cut(link)]

    def _runs(self, region: str) -> bool:
        return any(name in self._running for name in self.topology.region(region).servers)

    def _is_cut(self, link: Link) -> bool:
        return link.dialer in self._cut or link.listener in self._cut

    async def _is_ready(self, region: str) -> bool:
        """Whether every running server of a region reports that it is healthy and JetStream has a leader."""
        for name in self.topology.region(region).servers:
            if name in self._running and not await is_healthy(LOOPBACK, self.plan.addresses[name].monitor):
                return False
        answer = await api(await self.operator(region), "INFO", patience=1.0)
        return "error" not in answer

    async def _links_are_up(self) -> bool:
        """Whether each dialing server that runs has a connection per link that is not cut."""
        for link in self.topology.links:
            if self._is_cut(link) or not self._runs(link.listener):
                continue
            for name in self.topology.region(link.dialer).servers:
                if name in self._running and not await self._dialed(name, link):
                    return False
        return True

    async def _dialed(self, name: str, link: Link) -> bool:
        leafs = (await page(LOOPBACK, self.plan.addresses[name].monitor, "/leafz")).get("leafs") or []
        ports = {proxy.port for proxy in self._proxies[link]}
        return any(leaf.get("port") in ports for leaf in leafs)
