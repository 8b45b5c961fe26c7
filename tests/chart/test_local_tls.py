"""The embedded mesh with certificates: what a cluster does when a server is lost, over TLS."""

import shutil
from datetime import timedelta

from mesh.events.cart import CartUpdated
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.topology.certificates import certificates
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology

shop = Service("shop", publishes=(CartUpdated,))


async def test_a_client_finds_another_server_over_tls(tmp_path, monkeypatch):
    """A connection goes on with the next server when its own is killed, and trusts that one's certificate too."""
    topology = Topology.of(["us"], nodes=3)
    shown = certificates(topology, tmp_path / "certs", lasting=timedelta(days=1))
    monkeypatch.setenv("CARTMESH_NATS_CA", str(tmp_path / "certs" / "ca.crt"))

    async with LocalServers(topology, services=[shop], certificates=shown["us"]) as servers:
        mesh = await connect(servers.access, "us", "shop")
        try:
            await mesh.publish(CartUpdated(cart_id="c1", visitor_id="v", lines=()))
            before = mesh.broker.connection.client.connected_url.port
            ports = [servers.plan.addresses[f"us-{index}"].client for index in (1, 2, 3)]

            await servers.kill_node("us", ports.index(before) + 1)
            await mesh.publish(CartUpdated(cart_id="c2", visitor_id="v", lines=()))

            after = mesh.broker.connection.client.connected_url
        finally:
            await mesh.broker.drain()

    assert after.scheme == "tls"
    assert after.port in set(ports) - {before}


async def test_a_client_follows_another_authority(tmp_path, monkeypatch):
    """Once its file of authorities holds the new one as well, it trusts a server with a certificate of that one."""
    topology = Topology.of(["us"], nodes=1)
    certs, renewed = tmp_path / "certs", tmp_path / "renewed"
    shown = certificates(topology, certs, lasting=timedelta(days=1))
    certificates(topology, renewed, lasting=timedelta(days=1))
    monkeypatch.setenv("CARTMESH_NATS_CA", str(certs / "ca.crt"))

    async with LocalServers(topology, services=[shop], certificates=shown["us"]) as servers:
        mesh = await connect(servers.access, "us", "shop")
        try:
            await mesh.publish(CartUpdated(cart_id="c1", visitor_id="v", lines=()))

            both = (certs / "ca.crt").read_text() + (renewed / "ca.crt").read_text()
            for path in (certs / "ca.crt", certs / "us" / "ca.crt"):
                path.write_text(both)
            for name in ("tls.crt", "tls.key"):
                shutil.copy(renewed / "us" / name, certs / "us" / name)
            await servers.kill_node("us", 1)
            await servers.start_node("us", 1)

            await mesh.publish(CartUpdated(cart_id="c2", visitor_id="v", lines=()))
            kept = [received.event.cart_id async for received in mesh.read(CartUpdated)]
        finally:
            await mesh.broker.drain()

    assert kept == ["c1", "c2"]
