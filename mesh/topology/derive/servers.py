"""Servers: each nats-server's configuration, for any machine: addresses, certificates and secrets are arguments."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mesh.service import Service
from mesh.topology.derive.accounts import STREAMS, accounts, leaf_user
from mesh.topology.derive.conf import written
from mesh.topology.derive.link_permissions import never_out
from mesh.topology.mesh_toml import Topology
from mesh.topology.regions import Link, Region
from mesh.topology.secrets import COPIES, NEXT, OPERATOR, SYSTEM, Plain, Secrets

Config = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where one server listens. `bind` is the interface, `host` the name by which others reach it."""

    host: str
    client: int = 4222
    cluster: int = 6222
    leaf: int = 7422
    monitor: int = 8222
    store: str = "/data/jetstream"
    bind: str = "0.0.0.0"  # noqa: S104  a container listens on all its interfaces; the embedded mesh sets loopback


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Files in PEM, the same on every server that is given them: whom to believe, and what to show."""

    ca: str
    certificate: str
    key: str

    @staticmethod
    def below(folder: str) -> "Certificates":
        """Under the names that Kubernetes and cert-manager give them."""
        return Certificates(ca=f"{folder}/ca.crt", certificate=f"{folder}/tls.crt", key=f"{folder}/tls.key")

    def tls(self, **more: Any) -> Config:
        """A `tls` block."""
        return {"cert_file": self.certificate, "key_file": self.key, "ca_file": self.ca, **more}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every server's address by name. `proxies` replaces where a link's dialer finds the listener (host, port).

    With `certificates` everything is spoken over TLS: servers know each other by certificate, clients the servers.
    """

    addresses: Mapping[str, Address]
    proxies: Mapping[Link, Sequence[tuple[str, int]]] = field(default_factory=dict)
    certificates: Certificates | None = None
    max_memory: str = "256MB"
    max_file: str = "64GB"

    def leafnode_addresses(self, link: Link, listener: Region) -> Sequence[tuple[str, int]]:
        """Where a link's dialer finds the listener's servers."""
        if link in self.proxies:
            return self.proxies[link]
        return [(self.addresses[name].host, self.addresses[name].leaf) for name in listener.servers]


def users(topology: Topology, services: Sequence[Service]) -> dict[str, list[str]]:
    """Every login that needs a password, by region: each user has two."""
    named = [service.name for service in services if not service.hosted]
    return {
        name: [
            f"{user}{login}"
            for login in ("", NEXT)
            for user in (
                *dict.fromkeys((SYSTEM, OPERATOR, COPIES, *named)),
                *(leaf_user(link) for link in topology.links if link.listener == name),
            )
        ]
        for name in topology.names
    }


def listens(topology: Topology, region: str) -> bool:
    """Whether some region dials this one."""
    return any(link.listener == region for link in topology.links)


def server_configs(
    topology: Topology, services: Sequence[Service], names: Collection[str], plan: Plan, secrets: Secrets
) -> dict[str, str]:
    """The configurations of these servers (`eu-1`), by name."""
    found: dict[str, str] = {}
    for region in topology.regions:
        if mine := [name for name in region.servers if name in names]:
            shared = written(accounts(topology, services, region, secrets))
            found |= {name: _server(topology, region, name, plan, secrets) + shared for name in mine}
    return found


def _server(topology: Topology, region: Region, name: str, plan: Plan, secrets: Secrets) -> str:
    """All but the accounts, which are those of the region."""
    at = plan.addresses[name]
    config: Config = {
        "server_name": name,
        "listen": f"{at.bind}:{at.client}",
        "http": f"{at.bind}:{at.monitor}",
        **limits(),
        "jetstream": {
            "domain": region.name,
            "store_dir": at.store,
            "max_mem": Plain(plan.max_memory),
            "max_file": Plain(plan.max_file),
            **topology.servers.stored(region.name, secrets, alone=region.nodes == 1),
        },
    }
    if plan.certificates:
        config["tls"] = plan.certificates.tls(**to_clients())
    if region.nodes > 1:
        config["cluster"] = _cluster(region, name, plan)
    leafnodes = _leafnodes(topology, region, at, plan, secrets)
    if leafnodes:
        config["leafnodes"] = leafnodes
    return written(config)


def limits() -> Config:
    """What every server's configuration contains."""
    return {"max_payload": Plain("8MB")}


def to_clients() -> Config:
    """In the `tls` block for clients: ours begin with the TLS handshake, others may start TLS when the server asks.

    The server waits for the beginning before it asks in the clear, and for the end before it hangs up: with the
    defaults of 50 ms and 2 s a client on a busy machine is refused.
    """
    return {"handshake_first": "500ms", "timeout": 5}


def to_servers() -> Config:
    """In the `tls` blocks between servers of different regions: both show a certificate, TLS comes first."""
    return {"verify": True, "handshake_first": True}


def _cluster(region: Region, name: str, plan: Plan) -> Config:
    at = plan.addresses[name]
    peers = (plan.addresses[peer] for peer in region.servers if peer != name)
    cluster: Config = {
        "name": region.name,
        "listen": f"{at.bind}:{at.cluster}",
        "routes": [f"nats://{peer.host}:{peer.cluster}" for peer in peers],
    }
    if plan.certificates:
        cluster["tls"] = plan.certificates.tls(verify=True)
    return cluster


def _leafnodes(topology: Topology, region: Region, at: Address, plan: Plan, secrets: Secrets) -> Config:
    def urls(link: Link) -> list[str]:
        addresses = plan.leafnode_addresses(link, topology.region(link.listener))
        return [secrets.url(link.listener, leaf_user(link), host, port) for host, port in addresses]

    dialed = remotes(topology, region, urls)
    leafnodes: Config = {}
    if listens(topology, region.name):
        # Dialers know every server from their own list; what is not advertised cannot lead around a proxy.
        leafnodes = {"listen": f"{at.bind}:{at.leaf}", "no_advertise": True}
        if plan.certificates:
            leafnodes["tls"] = plan.certificates.tls(**to_servers())
    if dialed and plan.certificates:
        dialed = [remote | {"tls": plan.certificates.tls(handshake_first=True)} for remote in dialed]
    if leafnodes or dialed:
        leafnodes |= isolated() | ({"remotes": dialed} if dialed else {})
    return leafnodes


def isolated() -> Config:
    """In both directions: a region passes nothing on that came from another."""
    return {"isolate_leafnode_interest": True}


def remotes(topology: Topology, region: Region, urls: Callable[[Link], list[str]]) -> list[Config]:
    """The links a region dials; `urls` gives the addresses of a link's listener."""
    return [
        {"urls": urls(link), "account": STREAMS, **isolated(), "deny_exports": list(never_out())}
        for link in topology.links
        if link.dialer == region.name
    ]
