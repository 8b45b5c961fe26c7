"""How servers store, on real ones: encrypted files, and quotas that keep one stream from filling the disk."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mesh.broker.protocol import Outgoing
from mesh.envelope import encode
from mesh.errors import Unavailable
from mesh.events.cart import CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.mesh import PersonalDataShown
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from mesh.topology.server_settings import ServerSettings

PLAIN = Topology.of(["us"], nodes=1)
shop = Service("shop", publishes=(CartUpdated, ProductViewed))


def stored_files(directory):
    return b"".join(path.read_bytes() for path in (directory / "us-1" / "data").rglob("*.blk"))


async def carts(mesh):
    return [received.event.cart_id async for received in mesh.read(CartUpdated)]


@pytest.mark.timeout(120)
async def test_files_can_be_encrypted_from_some_day_on(tmp_path):
    """What was stored in the clear is read as before; what comes then stands in no file, and needs its key."""
    secret = "secret-visitor-" + "x" * 20
    async with LocalServers(PLAIN, tmp_path, [shop]) as servers:
        mesh = await connect(servers.access, "us", "shop")
        await mesh.publish(CartUpdated(cart_id="c1", visitor_id="open-visitor", lines=()))
        await mesh.broker.drain()
    assert b"open-visitor" in stored_files(tmp_path)

    encrypted = replace(PLAIN, servers=ServerSettings(sync_interval="always", cipher="aes"))
    async with LocalServers(encrypted, tmp_path, [shop]) as servers:
        mesh = await connect(servers.access, "us", "operator")
        await mesh.publish(CartUpdated(cart_id="c2", visitor_id=secret, lines=()))
        found = await carts(mesh)
        await mesh.broker.drain()

    assert found == ["c1", "c2"]
    assert secret.encode() not in stored_files(tmp_path)
    assert "jetstream_key_us" in (tmp_path / "secrets.json").read_text()


@pytest.mark.timeout(120)
async def test_the_key_of_encrypted_files_is_changed(tmp_path):
    """What was stored by the old key is read with both, and then by the new one alone: the old one is void."""
    secrets = tmp_path / "secrets.json"
    for number in (1, 2, 3):
        if number == 3:  # by now nothing needs the first one
            secrets.write_text(json.dumps(json.loads(secrets.read_text()) | {"*/jetstream_key_us": "p0" * 16}))
        encrypted = replace(PLAIN, servers=ServerSettings(cipher="aes", cipher_key=min(number, 2)))
        async with LocalServers(encrypted, tmp_path, [shop]) as servers:
            mesh = await connect(servers.access, "us", "operator")
            await mesh.publish(CartUpdated(cart_id=f"c{number}", visitor_id=f"visitor-{number}", lines=()))
            found = await carts(mesh)
            await mesh.broker.drain()

        assert found == [f"c{at}" for at in range(1, number + 1)]
        assert b"visitor-" not in stored_files(tmp_path)


@pytest.mark.timeout(120)
async def test_behind_its_quota_a_stream_refuses_or_makes_room(tmp_path):
    """What exists nowhere else is refused as by a full disk, and nothing stored is lost; views drop the oldest."""
    bounded = replace(PLAIN, quotas={"PERSONAL": 1_000_000, "INTERACTIONS": 1_000_000})
    async with LocalServers(PLAIN, tmp_path, [shop]):
        pass
    async with LocalServers(bounded, tmp_path, [shop]) as servers:  # a quota above what is stored loses nothing
        mesh = await connect(servers.access, "us", "operator")
        acknowledged, refusals = [], []
        for number in range(30):
            person = f"p{number}"
            asked = PersonalDataShown(person=person, at=datetime.now(UTC), reason="x" * 100_000, question="")
            subject = f"pii.us.mesh.personal_data_shown.{person}"
            body = encode(asked, id=person, region="us", source="test")
            try:
                await mesh.broker.store("PERSONAL_us", Outgoing(subject=subject, body=body, id=person))
            except Unavailable as error:
                refusals.append(str(error))
            else:
                acknowledged.append(person)
            await mesh.publish(ProductViewed(visitor_id="v", product_id=person, referrer="r" * 100_000))
        shown = [received.event.person async for received in mesh.read(PersonalDataShown)]
        views = [received.event.product_id async for received in mesh.read(ProductViewed)]
        await mesh.broker.drain()

    assert shown == acknowledged
    assert (5 < len(shown) < 15, len(shown) + len(refusals)) == (True, 30)
    assert "maximum bytes" in refusals[0]
    assert (views[-1], 5 < len(views) < 15) == ("p29", True)
