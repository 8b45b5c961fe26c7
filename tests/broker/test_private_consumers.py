"""A reader's own consumer, in the moment in which it was just made."""

from mesh.broker.jetstream import JetStreamBroker
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.state import Bucket
from mesh.topology.jetstream_api import listed
from mesh.topology.mesh_toml import Topology

SEEN = Bucket("seen", str)
reader = Service("reader", buckets=(SEEN,))


async def test_a_server_that_does_not_know_it_yet_is_asked_again(monkeypatch):
    """The first request finds nobody; the same consumer answers the second, and nobody waits for a heartbeat."""
    async with LocalServers(Topology.of(["us"], nodes=1), services=[reader]) as servers:
        connection = await servers.operator("us")
        broker = JetStreamBroker(connection)
        for key in ("a", "b"):
            await broker.kv_put(SEEN, key, b'"x"')
        publish, early = connection.client.publish, []

        async def arrives_early(subject, *body, **options):
            if "CONSUMER.MSG.NEXT" in subject and not early:
                early.append(subject)
                subject = f"{subject}-of-nobody"
            await publish(subject, *body, **options)

        monkeypatch.setattr(connection.client, "publish", arrives_early)

        found = [one.key async for one in broker.kv_entries(SEEN)]
        made = await listed(connection, "CONSUMER.LIST.KV_seen", "consumers")

    assert found == ["a", "b"]
    assert [f"$JS.API.CONSUMER.MSG.NEXT.KV_seen.{one['name']}" for one in made] == early
