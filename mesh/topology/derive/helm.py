"""Helm: a region's NATS servers as values of the official chart (nats-io/k8s, `nats` 2.x).

https://github.com/nats-io/k8s/tree/main/helm/charts/nats
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from mesh.broker.server_version import IMAGE_TAG
from mesh.errors import TopologyError
from mesh.service import Service
from mesh.topology.derive.accounts import accounts, leaf_user
from mesh.topology.derive.network import network_policy, pods
from mesh.topology.derive.servers import (
    Config,
    isolated,
    limits,
    listens,
    remotes,
    to_clients,
    to_servers,
    users,
)
from mesh.topology.derive.two_releases import Users
from mesh.topology.mesh_toml import Topology
from mesh.topology.regions import Link, Region
from mesh.topology.secrets import NEXT, Placeholders, Plain, setting_key

PASSWORDS = "cartmesh-passwords"
"""The Secret with a password for each user (key: its name) and each link the region dials (key: see `link_key`)."""

CERTIFICATES = "nats-tls"
"""The Secret with `ca.crt`, `tls.crt` and `tls.key`."""

RELEASE = "nats"
_HOSTS, _ZONES = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
STORED = 0.85
"""The share of a volume that JetStream may fill. File systems keep some for themselves, and a server that compacts or
takes a snapshot needs room beside its files."""
_NOBODY = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINED: Config = {
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
}
_size = re.compile(r"([1-9][0-9]*(?:\.[0-9]+)?)(Mi|Gi|Ti|M|G|T)", re.ASCII).fullmatch
_UNITS = {"M": 10**6, "G": 10**9, "T": 10**12, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_word = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII).fullmatch


def link_key(link: Link) -> str:
    """The dialer's key in `PASSWORDS` for the password with which it comes in at the listener."""
    return f"{link.listener}.{leaf_user(link)}"


def nats_values(
    topology: Topology,
    services: Sequence[Service],
    name: str,
    *,
    store: str = "50Gi",
    issuer: str = "",
    before: Users | None = None,
    login: str = "",
    monitoring: str = "",
) -> Config:
    """Values for the release `nats` of a region. Secrets are only named.

    `store` is each server's disk (`200Gi`); `issuer` a ClusterIssuer of cert-manager that makes the certificates;
    `monitoring` the namespace whose pods may read the servers' metrics (none where it is empty);
    `before` are the users of the release that runs, which may go on with what they do; `login` is how the names of the
    logins end that links use (mesh.topology.secrets).
    Raises TopologyError where a region that is dialed has no `leafnode_address`, the disk has no size, or the quotas
    do not fit on it.
    """
    region = topology.region(name)
    stored = _stored(topology, store)
    secrets = Placeholders()
    config: Config = {
        "serverNamePrefix": f"{name}-",
        "nats": _secured(topology, to_clients()),
        "cluster": {
            "enabled": region.nodes > 1,
            "replicas": region.nodes,
            "merge": {"name": name},
            **_secured(topology, {"verify": True}),
        },
        "jetstream": {
            "enabled": True,
            "memoryStore": {"enabled": True, "maxSize": "256Mi"},
            "fileStore": {"maxSize": stored, "pvc": {"size": store}},
            "merge": {"domain": name, **topology.servers.stored(name, secrets, alone=region.nodes == 1)},
        },
        "leafnodes": _leafnodes(topology, region),
        "monitor": {"enabled": True},
        "merge": limits() | accounts(topology, services, region, secrets, before),
    }
    values: Config = {
        "config": config,
        "container": _container(_environment(topology, services, region, secrets, before or {}, login)),
        "podTemplate": _pod_template(),
        "reloader": {"merge": _CONTAINED | _sidecar(cpu="10m", memory="32Mi")},
        "promExporter": {
            "enabled": True,
            "merge": _CONTAINED | _sidecar(cpu="20m", memory="128Mi"),
            "podMonitor": {"enabled": False},
        },
        "natsBox": {"enabled": False},
    }
    if topology.tls:
        values["tlsCA"] = {"enabled": True, "secretName": CERTIFICATES, "key": "ca.crt"}
    values["extraResources"] = [
        network_policy(topology, region, RELEASE, monitoring=monitoring),
        *([_leafnode_service(region)] if listens(topology, name) else []),
        *([_certificate(region, issuer)] if issuer else []),
    ]
    return values


def _container(environment: Config) -> Config:
    return {
        # The chart would take the newest it knows.
        "image": {"tag": IMAGE_TAG},
        "env": {"GOMEMLIMIT": "900MiB"} | environment,
        "merge": {
            "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
            **_CONTAINED,
        },
    }


def _pod_template() -> Config:
    return {
        "topologySpreadConstraints": {
            _HOSTS: {"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"},
            # A cluster may have one zone only.
            _ZONES: {"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"},
        },
        "merge": {"spec": {"automountServiceAccountToken": False, "securityContext": dict(_NOBODY)}},
    }


def names(region: Region) -> list[str]:
    """Every name under which a region's servers are reached; their certificate must hold all of them."""
    outside = [region.leafnode_address.rpartition(":")[0]] if region.leafnode_address else []
    return [RELEASE, f"*.{RELEASE}-headless", *(f"nats-{server}" for server in region.servers), *outside]


def yaml(values: Config, head: str = "") -> str:
    """Values as YAML. Every string is quoted: an unquoted `y` is a boolean to some readers."""
    lines = "".join(f"# {line}\n" for line in head.splitlines())
    return lines + "\n".join(_yaml(values, "")) + "\n"


def _stored(topology: Topology, store: str) -> str:
    """How much JetStream may store on a disk of this size; TopologyError where quotas set more than that aside."""
    found = _size(store)
    if not found:
        raise TopologyError(f"--store {store}: write the size of each server's disk as 200Gi or 1Ti")
    most = int(float(found[1]) * _UNITS[found[2]] * STORED)
    asked = sum(topology.quotas.values())
    if asked > most:
        raise TopologyError(
            f"--store {store}: the quotas in mesh.toml are {asked / 1e9:,.1f} GB together, and {STORED:.0%} of the "
            f"disk are {most / 1e9:,.1f} GB: give each server a larger disk, or streams smaller quotas"
        )
    return f"{most >> 20}Mi"


def _sidecar(*, cpu: str, memory: str) -> Config:
    """Resources of a container beside the server; it may use more CPU while nobody else needs it."""
    return {"resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}}


def _secured(topology: Topology, more: Config) -> Config:
    return {"tls": {"enabled": True, "secretName": CERTIFICATES, "merge": more}} if topology.tls else {}


def _leafnodes(topology: Topology, region: Region) -> Config:
    def urls(link: Link) -> list[str]:
        return [Plain(f"${_url_variable(link)}")]

    remote_servers = remotes(topology, region, urls)
    if topology.tls:
        # Where the chart mounts the Secret for `leafnodes.tls`, and `tlsCA`.
        certificate = {
            "cert_file": "/etc/nats-certs/leafnodes/tls.crt",
            "key_file": "/etc/nats-certs/leafnodes/tls.key",
        }
        own = certificate | {"ca_file": "/etc/nats-ca-cert/ca.crt", "handshake_first": True}
        remote_servers = [remote | {"tls": own} for remote in remote_servers]
    return {
        "enabled": True,
        "merge": isolated() | ({"remotes": remote_servers} if remote_servers else {}),
        **_secured(topology, to_servers()),
    }


def _environment(
    topology: Topology, services: Sequence[Service], region: Region, secrets: Placeholders, before: Users, login: str
) -> Config:
    """Every variable of the configuration.

    Kubernetes fills `$(...)` from variables that come before in the list, and the chart sorts them by name:
    a link's PASSWORD comes before its URL.
    """
    known = users(topology, services)[region.name]
    inside = dict.fromkeys([*known, *(f"{user}{ending}" for user in sorted(before) for ending in ("", NEXT))])
    made: Config = {secrets.password(region.name, user)[1:]: _reference(user) for user in inside}
    asked = topology.servers.asked(region.name, alone=region.nodes == 1)
    made |= {secrets.setting(key)[1:]: _reference(setting_key(key)) for key in asked}
    for link in topology.links:
        if link.dialer == region.name:
            address = topology.region(link.listener).leafnode_address
            if not address:
                raise TopologyError(
                    f'region {link.listener!r} has no leafnode_address: write leafnode_address = "host:7422" under '
                    f"[regions.{link.listener}], for the servers of {region.name} to dial"
                )
            user = f"{leaf_user(link)}{login}"
            password = secrets.password(link.listener, leaf_user(link))[1:]
            made[password] = _reference(f"{link_key(link)}{login}")
            scheme = "tls" if topology.tls else "nats"
            made[_url_variable(link)] = f"{scheme}://{user}:$({password})@{address}"
    return made


def _url_variable(link: Link) -> str:
    return f"CARTMESH_{link.listener.upper()}_{leaf_user(link).upper()}_URL"


def _reference(key: str) -> Config:
    return {"valueFrom": {"secretKeyRef": {"name": PASSWORDS, "key": key}}}


def _leafnode_service(region: Region) -> Config:
    """Only the port for links is reached from outside."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{RELEASE}-leafnodes", "labels": {"cartmesh/region": region.name}},
        "spec": {
            "type": "LoadBalancer",
            "selector": pods(RELEASE),
            "ports": [{"name": "leafnodes", "port": 7422, "targetPort": "leafnodes"}],
        },
    }


def _certificate(region: Region, issuer: str) -> Config:
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": CERTIFICATES},
        "spec": {
            "secretName": CERTIFICATES,
            "issuerRef": {"name": issuer, "kind": "ClusterIssuer"},
            "usages": ["digital signature", "key encipherment", "server auth", "client auth"],
            "dnsNames": names(region),
        },
    }


def _yaml(value: Any, margin: str) -> Iterator[str]:
    for key, inner in value.items():
        name = margin + (key if _word(key) else json.dumps(key)) + ":"
        if isinstance(inner, dict) and inner:
            yield name
            yield from _yaml(inner, margin + "  ")
        elif isinstance(inner, list) and inner:
            yield name
            for one in inner:
                yield from _entry(one, margin + "  ")
        else:
            yield f"{name} {_scalar(inner)}"


def _entry(one: Any, margin: str) -> Iterator[str]:
    if isinstance(one, dict):
        first, *rest = _yaml(one, margin + "  ")
        yield f"{margin}- {first.lstrip()}"
        yield from rest
    else:
        yield f"{margin}- {_scalar(one)}"


def _scalar(value: Any) -> str:
    """What is plain in a configuration stands in `<< >>`: the chart takes the quotes away."""
    return json.dumps(f"<< {value} >>" if isinstance(value, Plain) else value)
