"""Free addresses: where each server of a mesh on this machine listens, and where it keeps its data."""

from pathlib import Path

from mesh.runtime.ports import free_ports
from mesh.topology.derive.servers import Address
from mesh.topology.mesh_toml import Topology

LOOPBACK = "127.0.0.1"


def free_addresses(topology: Topology, directory: Path) -> dict[str, Address]:
    """The address of every server by name, on loopback and free ports, with its data below the directory."""
    names = [name for region in topology.regions for name in region.servers]
    ports = iter(free_ports(4 * len(names)))
    return {
        name: Address(
            host=LOOPBACK,
            bind=LOOPBACK,
            client=next(ports),
            cluster=next(ports),
            leaf=next(ports),
            monitor=next(ports),
            store=str(directory / name / "data"),
        )
        for name in names
    }
