"""Applying what is declared to real servers: idempotent, honest about differences, never deleting unasked."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mesh.broker.jetstream import JetStreamBroker
from mesh.errors import TopologyError
from mesh.events.cart import CartAbandoned, CartIdle, CartUpdated
from mesh.events.order import OrderPlaced
from mesh.mesh import Mesh
from mesh.operations.status import status_of
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.streams import Bucket, ObjectStore
from mesh.timers import Timer
from mesh.topology.apply import api, apply
from mesh.topology.mesh_toml import Topology


def service(*, receives=(CartUpdated,), ack_wait=timedelta(seconds=30), name="watch_carts", history=1):
    made = Service(
        "watcher",
        publishes=(CartUpdated, CartIdle),
        timers=(CartIdle,),
        buckets=(Bucket("seen", dict, history), Bucket("brief", dict, ttl=timedelta(seconds=30))),
        object_stores=(ObjectStore("papers"),),
    )

    async def handler(event: CartUpdated):
        yield event

    handler.__name__ = name
    made.on(*receives, ack_wait=ack_wait)(handler)
    return made


@pytest.fixture
async def servers():
    async with LocalServers(Topology.of(["us", "eu"], nodes=1), services=[service()]) as running:
        yield running


def lines(differences):
    return sorted(map(str, differences))


async def consumer(servers, durable="watcher-watch-carts"):
    return (await api(await servers.operator("us"), f"CONSUMER.INFO.COMMERCE_us.{durable}")).get("config")


async def test_applying_twice_changes_nothing(servers):
    """The first time everything is created, the second time nothing differs."""
    created = {difference.verb for difference in servers.applied}

    again = await servers.apply()

    assert created == {"create"}
    assert lines(again) == []


async def test_every_region_holds_what_is_declared(servers):
    """Every region has the same streams, buckets and object stores, and a durable for each handler."""
    for region in ("us", "eu"):
        names = (await api(await servers.operator(region), "STREAM.NAMES"))["streams"]
        assert sorted(names) == sorted(
            [
                *(
                    f"{family}_{region}"
                    for family in ("COMMERCE", "DEAD", "INTERACTIONS", "MESH", "OPERATIONS", "PERSONAL")
                ),
                "KV_brief",
                "KV_seen",
                "OBJ_papers",
            ]
        )
    config = await consumer(servers)
    assert config["filter_subject"] == "ev.us.cart.updated.*"
    assert config["deliver_policy"] == "all"
    assert config["max_deliver"] == -1


async def test_a_changed_handler_is_an_update(servers):
    """Other events, another patience, a longer history: changed in place, reported, and then nothing differs."""
    changed = [service(receives=(CartUpdated, OrderPlaced), ack_wait=timedelta(seconds=60), history=5)]

    differences = await servers.apply(changed)

    assert lines(d for d in differences if d.region == "us") == [
        "~ us: change consumer watcher-watch-carts on COMMERCE_us (ack_wait, filters)",
        "~ us: change stream KV_seen (max_msgs_per_subject)",
    ]
    config = await consumer(servers)
    assert sorted(config["filter_subjects"]) == ["ev.us.cart.updated.*", "ev.us.order.placed.*"]
    assert config["ack_wait"] == 60_000_000_000
    assert lines(await servers.apply(changed)) == []


async def test_a_consumer_that_somebody_changed_is_reported_and_restored(servers):
    """Status names the durable that does not deliver what is declared, and one that is gone; apply restores both."""
    operator, declared = await servers.operator("us"), [service()]
    changed = {"stream_name": "COMMERCE_us", "config": await consumer(servers) | {"filter_subject": "ev.us.nothing.>"}}
    await api(operator, "CONSUMER.CREATE.COMMERCE_us.watcher-watch-carts", changed | {"action": "update"})
    await api(operator, "CONSUMER.DELETE.COMMERCE_us.copy_eu")

    async def wrong():
        us, eu = await status_of(servers.access, declared)
        assert (eu.missing, [one for one in eu.consumers if one.outdated]) == ((), [])
        return [one.name for one in us.consumers if one.outdated], us.missing

    assert await wrong() == (["watcher-watch-carts"], ("COMMERCE_us/copy_eu",))

    differences = await servers.apply(declared)

    assert lines(differences) == [
        "+ us: create consumer copy_eu on COMMERCE_us",
        "~ us: change consumer watcher-watch-carts on COMMERCE_us (filters)",
    ]
    assert await wrong() == ([], ())


async def test_filters_shrink_back_to_one(servers):
    """From two events to one of them: the server takes the change of `filter_subjects` to `filter_subject`."""
    await servers.apply([service(receives=(CartUpdated, CartAbandoned))])

    await servers.apply([service()])

    assert (await consumer(servers))["filter_subject"] == "ev.us.cart.updated.*"
    assert lines(await servers.apply([service()])) == []


async def test_nothing_is_deleted_unasked(servers):
    """What nobody declares any more is named and stays; with `force` it goes."""
    kept = await servers.apply([])

    unasked = "(nobody declares it; --force COMMERCE_us/watcher-watch-carts deletes it)"
    assert lines(d for d in kept if d.region == "us") == [
        f"! us: would delete consumer watcher-watch-carts on COMMERCE_us {unasked}",
        "! us: would delete stream KV_brief and all it holds (nobody declares it; --force KV_brief deletes it)",
        "! us: would delete stream KV_seen and all it holds (nobody declares it; --force KV_seen deletes it)",
        "! us: would delete stream OBJ_papers and all it holds (nobody declares it; --force OBJ_papers deletes it)",
    ]
    assert lines(await servers.apply([service()])) == []

    gone = await servers.apply([], force=("KV_brief", "COMMERCE_us/watcher-watch-carts"))

    assert lines(d for d in gone if d.region == "us" and d.verb == "delete") == [
        "- us: delete consumer watcher-watch-carts on COMMERCE_us",
        "- us: delete stream KV_brief and all it holds",
    ]
    assert await consumer(servers) is None
    await servers.apply(
        [], force=[name for of in gone for name in (of.what.split()[1], f"COMMERCE_eu/{of.what.split()[1]}")]
    )
    assert lines(await servers.apply([])) == []


async def test_nothing_keeps_less_unasked(servers):
    """A shorter retention or history is refused whole, with what would be lost; each stream that is named gets it."""
    await servers.apply([service(history=5)])
    connections = {"us": await servers.operator("us")}
    shorter = replace(servers.topology, commerce=timedelta(days=1), interactions=timedelta(days=1))

    with pytest.raises(TopologyError) as refused:
        await apply(shorter, [service(history=1)], connections)
    planned = await apply(shorter, [service(history=1)], connections, dry_run=True)

    assert (
        "us: refuses stream COMMERCE_us (what has an age above 1d would be deleted, up to 400d is kept; "
        "--force COMMERCE_us does it all the same)"
    ) in str(refused.value)
    named = {one.what.removeprefix("stream ") for one in planned if one.verb == "refuse"}
    assert named == {
        *(f"{one}_us" for one in ("COMMERCE", "INTERACTIONS", "MESH", "OPERATIONS", "PERSONAL")),
        "KV_seen",
    }
    kept = (await api(connections["us"], "STREAM.INFO.COMMERCE_us"))["config"]
    assert kept["max_age"] == timedelta(days=400).total_seconds() * 1e9

    done = await apply(shorter, [service(history=1)], connections, force=named)

    assert {one.verb for one in done} == {"change"}
    assert await apply(shorter, [service(history=1)], connections) == []


async def published(servers, *keys):
    broker = JetStreamBroker(await servers.operator("us"))
    for key in keys:
        await Mesh(broker, "watcher").publish(CartUpdated(cart_id=key, visitor_id="v", lines=()))


async def fetched(operator, release):
    """One message of the release's handler."""
    (spec,) = release.bindings[0].consumers("us")
    deliveries = await JetStreamBroker(operator).deliveries(spec)
    try:
        return await deliveries.fetch(1, 5.0)
    finally:
        await deliveries.close()


async def test_a_renamed_handler_goes_on_where_the_old_one_is(servers):
    """It is refused with both choices; then the new durable begins behind what the old one has acknowledged."""
    operator = await servers.operator("us")
    connections, renamed = {"us": operator}, [service(name="follow_carts")]
    await published(servers, "c1", "c2", "c3")
    (took,) = await fetched(operator, service())
    await took.ack()

    with pytest.raises(TopologyError) as refused:
        await apply(servers.topology, renamed, connections)
    done = await apply(
        servers.topology, renamed, connections, take_over={"watcher-watch-carts": "watcher-follow-carts"}
    )
    again = await apply(servers.topology, renamed, connections)

    assert "watcher-watch-carts looks like its old name" in str(refused.value)
    assert "--take-over watcher-watch-carts=watcher-follow-carts goes on where that one is" in str(refused.value)
    assert "+ us: create consumer watcher-follow-carts on COMMERCE_us (from watcher-watch-carts, at 2)" in lines(done)
    (left,) = await fetched(operator, *renamed)
    assert b'"c2"' in left.body
    assert {one.verb for one in again} == {"keep"}, "the old one stays for the old pods"


async def test_a_renamed_handler_may_begin_anew(servers):
    """By force, at the oldest event."""
    await published(servers, "c1")
    connections = {"us": await servers.operator("us")}

    await apply(
        servers.topology, [service(name="follow_carts")], connections, force=["COMMERCE_us/watcher-follow-carts"]
    )

    assert (await consumer(servers, "watcher-follow-carts"))["deliver_policy"] == "all"


async def test_a_renamed_projection_begins_anew(servers):
    """It fills its bucket from the whole log, beside what the old one filled: nobody has to say so."""
    seen = Bucket("seen-anew", dict, rebuilt=True)
    watcher = Service("watcher", publishes=(CartUpdated, CartIdle), timers=(CartIdle,), buckets=(seen,))

    @watcher.on(CartUpdated, projects=seen)
    async def follow_carts(event: CartUpdated) -> None:
        assert event.cart_id

    await published(servers, "c1")

    done = await apply(servers.topology, [watcher], {"us": await servers.operator("us")})

    assert "+ us: create consumer watcher-follow-carts on COMMERCE_us" in lines(done)
    (first,) = await fetched(await servers.operator("us"), watcher)
    assert b'"c1"' in first.body


async def test_an_older_release_changes_nothing_that_is_there(servers):
    """With `expand` it makes what is missing, and leaves what a newer one changed, naming it."""
    newer = [service(receives=(CartUpdated, CartAbandoned), history=5)]
    longer = replace(servers.topology, commerce=timedelta(days=800))
    connections = {"us": await servers.operator("us")}
    await apply(longer, newer, connections)
    await api(connections["us"], "STREAM.DELETE.DEAD_us")

    done = await apply(servers.topology, [service()], connections, expand=True)

    assert lines(done) == [
        "! us: leaves as it is: consumer watcher-watch-carts on COMMERCE_us (filters)",
        "! us: leaves as it is: stream COMMERCE_us (max_age)",
        "! us: leaves as it is: stream KV_seen (max_msgs_per_subject)",
        "! us: leaves as it is: stream MESH_us (max_age)",
        "! us: leaves as it is: stream OPERATIONS_us (max_age)",
        "! us: leaves as it is: stream PERSONAL_us (max_age)",
        "+ us: create stream DEAD_us",
    ]
    assert len((await consumer(servers))["filter_subjects"]) == 2


async def test_a_dry_run_changes_nothing(servers):
    """It says what would be done and does not do it."""
    connections = {"us": await servers.operator("us")}
    renamed = [service(name="follow_carts")]

    planned = await apply(servers.topology, renamed, connections, dry_run=True)

    assert "+ us: create consumer watcher-follow-carts on COMMERCE_us" in lines(planned)
    assert await consumer(servers, "watcher-follow-carts") is None
    assert lines(await servers.apply()) == []


async def test_data_survives_a_change(servers):
    """A longer retention is an update of the stream that keeps what it holds."""
    login = servers.credentials("us", "watcher")
    broker = await JetStreamBroker.connect(
        "us", login.servers, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix
    )
    try:
        await Mesh(broker, "watcher").publish(CartUpdated(cart_id="c1", visitor_id="v", lines=()))
        longer = Topology(regions=servers.topology.regions, links=servers.topology.links, commerce=timedelta(days=800))

        differences = await apply(longer, [service()], {"us": await servers.operator("us")})

        assert lines(differences) == [
            "~ us: change stream COMMERCE_us (max_age)",
            "~ us: change stream MESH_us (max_age)",
            "~ us: change stream OPERATIONS_us (max_age)",
            "~ us: change stream PERSONAL_us (max_age)",
        ]
        assert await Mesh(broker, "watcher").last(CartUpdated, "c1") is not None
    finally:
        await broker.drain()


async def test_copies_of_a_regions_own_events_are_given_up(servers, eventually):
    """A MESH stream that once copied its own region's events too stops, and forgets the copies, not the originals."""
    operator = await servers.operator("us")
    await operator.request("ev.us.cart.updated.c1", b"{}")
    config = (await api(operator, "STREAM.INFO.MESH_us"))["config"]
    own = {"name": "COMMERCE_us", "filter_subject": "ev.us.>"}
    await api(operator, "STREAM.UPDATE.MESH_us", config | {"sources": [own, *config["sources"]]})
    broker = JetStreamBroker(operator)
    await eventually(lambda: broker.last("MESH_us", "ev.us.cart.updated.c1"))

    differences = await servers.apply()

    assert lines(differences) == [
        "- us: delete copies of COMMERCE_us in MESH_us (the originals stay)",
        "~ us: change stream MESH_us (sources)",
    ]
    assert await broker.last("MESH_us", ">") is None
    assert await broker.last("COMMERCE_us", "ev.us.cart.updated.c1") is not None


async def test_timers_fire_in_an_applied_stream(servers, eventually):
    """The commerce stream takes an event with its timer in one commit, and the server fires it by itself."""
    login = servers.credentials("eu", "watcher")
    broker = await JetStreamBroker.connect(
        "eu", login.servers, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix
    )
    try:
        mesh = Mesh(broker, "watcher")
        idle = CartIdle(cart_id="c1", update_id="u1")
        await mesh.publish(
            CartUpdated(cart_id="c1", visitor_id="v", lines=()), Timer(idle, datetime.now(UTC) + timedelta(seconds=0.2))
        )

        async def fired():
            return await mesh.last(CartIdle, "c1")

        assert (await eventually(fired)).event == idle
    finally:
        await broker.drain()


async def test_a_region_out_of_reach_is_left_for_later():
    """Applied while a link is cut, a region is complete but for that source, says so, and gets it the next time."""
    async with LocalServers(Topology.of(["us"], nodes=1)) as alone:
        both = Topology.of(["us", "eu"], nodes=1)
        connections = {"us": await alone.operator("us")}
        await api(connections["us"], "STREAM.DELETE.MESH_us")

        differences = await apply(both, [], connections, patience=0.5)

        assert lines(differences) == [
            "+ us: create consumer copy_eu on COMMERCE_us",
            "+ us: create consumer copy_eu on OPERATIONS_us",
            "+ us: create stream MESH_us",
            "? us: waits: MESH_us for COMMERCE_eu (no link; apply again when it is up)",
            "? us: waits: MESH_us for OPERATIONS_eu (no link; apply again when it is up)",
        ]


async def test_a_stream_of_another_kind_is_refused(servers):
    """What the server will not change is an error that names it, not a silent difference."""
    connection = await servers.operator("us")
    await api(connection, "STREAM.DELETE.DEAD_us")
    foreign = {"name": "DEAD_us", "subjects": ["dead.us.>"], "storage": "memory", "num_replicas": 1}
    await api(connection, "STREAM.CREATE.DEAD_us", foreign)

    with pytest.raises(TopologyError, match="us: cannot change stream DEAD_us"):
        await servers.apply()


async def test_the_command_applies_to_servers_that_run(servers):
    """`cartmesh mesh apply --servers` finds them in another process and says what differs."""
    path = servers.write_state()
    (servers.directory / "mesh.toml").write_text(
        '[regions.us]\nnodes = 1\n[regions.eu]\nnodes = 1\n[[links]]\nfrom = "eu"\nto = "us"\n'
    )
    command = ["-m", "mesh.cli", "mesh", "apply", "--dry-run", "--region", "us"]
    where = ["--servers", str(path), "--file", str(servers.directory / "mesh.toml")]

    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, *command, *where], capture_output=True, text=True, check=False, timeout=60
    )

    assert ran.returncode == 0, ran.stderr
    assert "! us: would delete consumer watcher-watch-carts on COMMERCE_us" in ran.stdout
    assert "differences (nothing was done)" in ran.stdout
