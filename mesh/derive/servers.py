"""Servers: one nats-server configuration per node, for any machine: addresses and secrets are given."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mesh.derive.permissions import Permissions, copying, link_permissions, never_out, service_permissions
from mesh.secrets import OPERATOR, SYSTEM, Secrets
from mesh.service import Service
from mesh.topology import Link, Region, Topology


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where one server listens. `bind` is the interface, `host` the name by which others reach it."""

    host: str
    client: int = 4222
    cluster: int = 6222
    leaf: int = 7422
    monitor: int = 8222
    store: str = "/data/jetstream"
    bind: str = "0.0.0.0"  # noqa: S104  a container listens on all its interfaces; the embedded mesh says loopback


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every server's address by name. `detours` replaces where a link's dialer finds the listener (host, port)."""

    addresses: Mapping[str, Address]
    detours: Mapping[Link, Sequence[tuple[str, int]]] = field(default_factory=dict)
    max_memory: str = "256MB"
    max_file: str = "64GB"

    def doors(self, link: Link, listener: Region) -> Sequence[tuple[str, int]]:
        """Where a link's dialer finds the listener's servers."""
        if link in self.detours:
            return self.detours[link]
        return [(self.addresses[name].host, self.addresses[name].leaf) for name in listener.servers]


def users(topology: Topology, services: Sequence[Service]) -> dict[str, list[str]]:
    """Every user that needs a password, by region."""
    return {
        name: [
            SYSTEM,
            OPERATOR,
            *(service.name for service in services),
            *(leaf_user(link) for link in topology.links if link.listener == name),
        ]
        for name in topology.names
    }


def leaf_user(link: Link) -> str:
    """The user as whom a link's dialer comes in."""
    return f"leaf_{link.dialer}"


def server_config(topology: Topology, services: Sequence[Service], name: str, plan: Plan, secrets: Secrets) -> str:
    """The configuration of the server `name` (`eu-1`)."""
    region = next(region for region in topology.regions if name in region.servers)
    at = plan.addresses[name]
    lines = [
        f"server_name: {name}",
        f"listen: {_text(f'{at.bind}:{at.client}')}",
        f"http: {_text(f'{at.bind}:{at.monitor}')}",
        "max_payload: 8MB",
        "jetstream {",
        f"  domain: {region.name}",
        f"  store_dir: {_text(at.store)}",
        f"  max_mem: {plan.max_memory}",
        f"  max_file: {plan.max_file}",
        "}",
        "system_account: SYS",
    ]
    if region.nodes > 1:
        lines += _cluster(region, name, plan)
    lines += _leafnodes(topology, region, name, plan, secrets)
    lines += _accounts(topology, services, region, secrets)
    return "\n".join(lines) + "\n"


def _cluster(region: Region, name: str, plan: Plan) -> list[str]:
    at = plan.addresses[name]
    peers = (plan.addresses[peer] for peer in region.servers if peer != name)
    routes = ", ".join(_text(f"nats://{peer.host}:{peer.cluster}") for peer in peers)
    return [
        "cluster {",
        f"  name: {region.name}",
        f"  listen: {_text(f'{at.bind}:{at.cluster}')}",
        f"  routes: [ {routes} ]",
        "}",
    ]


def _leafnodes(topology: Topology, region: Region, name: str, plan: Plan, secrets: Secrets) -> list[str]:
    """Isolated in both directions: a region passes nothing on that came from another."""
    listens = any(link.listener == region.name for link in topology.links)
    dials = [link for link in topology.links if link.dialer == region.name]
    if not listens and not dials:
        return []
    at = plan.addresses[name]
    lines = ["leafnodes {"]
    if listens:
        # Dialers know every server from their own list; what is not advertised cannot lead around a detour.
        lines += [f"  listen: {_text(f'{at.bind}:{at.leaf}')}", "  no_advertise: true"]
    lines.append("  isolate_leafnode_interest: true")
    if dials:
        lines.append("  remotes: [")
        for link in dials:
            doors = plan.doors(link, topology.region(link.listener))
            urls = ", ".join(secrets.url(link.listener, leaf_user(link), host, port) for host, port in doors)
            lines += [
                "    {",
                f"      urls: [ {urls} ]",
                "      account: SHOP",
                "      isolate_leafnode_interest: true",
                f"      deny_exports: {json.dumps(never_out())}",
                "    }",
            ]
        lines.append("  ]")
    return [*lines, "}"]


def _accounts(topology: Topology, services: Sequence[Service], region: Region, secrets: Secrets) -> list[str]:
    lines = [
        "accounts {",
        f"  SYS {{ users: [ {{ user: {SYSTEM}, password: {secrets.quoted(region.name, SYSTEM)} }} ] }}",
        "  SHOP {",
        "    jetstream: enabled",
        "    users: [",
        f"      {{ user: {OPERATOR}, password: {secrets.quoted(region.name, OPERATOR)} }}",
    ]
    for service in services:
        lines += _user(region, service.name, service_permissions(service, region.name, services), secrets)
    for link in topology.links:
        if link.listener == region.name:
            lines += _user(region, leaf_user(link), link_permissions(link), secrets, kind="LEAFNODE")
    return [*lines, "    ]", *_mappings(region), "  }", "}"]


def _mappings(region: Region) -> list[str]:
    """Only what is mapped is offered over links by its own name.

    A JetStream domain offers its whole API as one subject, which a link either carries or does not.
    """
    narrow = (_text(subject) for subject in copying(region.name))
    inside = (_text(_own_api(subject, region.name)) for subject in copying(region.name))
    return [
        "    mappings: {",
        *(f"      {outer}: {inner}" for outer, inner in zip(narrow, inside, strict=True)),
        "    }",
    ]


def _own_api(subject: str, region: str) -> str:
    """The subject as this region's server knows it, with the wildcard's token put in."""
    return subject.replace(f"$JS.{region}.API.", "$JS.API.").replace(".*.", ".{{wildcard(1)}}.")


def _user(region: Region, name: str, may: Permissions, secrets: Secrets, *, kind: str = "") -> list[str]:
    lines = [f"      {{ user: {_text(name)}, password: {secrets.quoted(region.name, name)}"]
    if kind:
        lines.append(f'        allowed_connection_types: ["{kind}"]')
    lines += [
        "        permissions: {",
        f"          publish: {{ allow: {json.dumps(may.publish)}{_deny(may)} }}",
        f"          subscribe: {{ allow: {json.dumps(may.subscribe)} }}",
    ]
    if may.answers:
        lines.append('          allow_responses: { max: 1, expires: "1m" }')
    return [*lines, "        } }"]


def _deny(may: Permissions) -> str:
    return f", deny: {json.dumps(may.never)}" if may.never else ""


def _text(value: str) -> str:
    return json.dumps(value)
