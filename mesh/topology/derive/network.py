"""Network: who may reach the pods of a region's servers, and whom they may reach.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from typing import Any

from mesh.topology.mesh_toml import Topology
from mesh.topology.regions import Region

Config = dict[str, Any]

CLIENTS = {"app.kubernetes.io/name": "cartmesh"}
"""Labels of the pods of Cartmesh's own chart: services, jobs and the toolbox."""
METRICS = 7777
_CLIENT, _CLUSTER, _LEAFNODES = 4222, 6222, 7422


def pods(release: str) -> dict[str, str]:
    """The labels by which the official chart finds its servers' pods."""
    return {
        "app.kubernetes.io/name": "nats",
        "app.kubernetes.io/instance": release,
        "app.kubernetes.io/component": "nats",
    }


def network_policy(topology: Topology, region: Region, release: str, *, monitoring: str = "") -> Config:
    """Clients of the same namespace, the servers themselves, and links; metrics for one namespace, if it is named.

    Links come from anywhere, and go anywhere on the ports that other regions are dialed at: who may use one is a
    matter of certificates and passwords. The kubelet's probes pass every policy of their node.
    """
    servers, clients = [_pods(pods(release))], [_pods(CLIENTS)]
    dialed = [link.listener for link in topology.links if link.dialer == region.name]
    ports = sorted({int(topology.region(one).leafnode_address.rpartition(":")[2] or _LEAFNODES) for one in dialed})
    is_dialed = any(link.listener == region.name for link in topology.links)
    scraped = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": monitoring}}}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": release, "labels": {"cartmesh/region": region.name}},
        "spec": {
            "podSelector": {"matchLabels": pods(release)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"ports": [_port(_CLIENT)], "from": clients},
                {"ports": [_port(_CLUSTER)], "from": servers},
                *([{"ports": [_port(_LEAFNODES)]}] if is_dialed else []),
                *([{"ports": [_port(METRICS)], "from": scraped}] if monitoring else []),
            ],
            "egress": [
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
                {"ports": [_port(_CLUSTER)], "to": servers},
                *([{"ports": [_port(port) for port in ports]}] if ports else []),
            ],
        },
    }


def _port(number: int) -> Config:
    return {"port": number, "protocol": "TCP"}


def _pods(labels: dict[str, str]) -> Config:
    return {"podSelector": {"matchLabels": labels}}
