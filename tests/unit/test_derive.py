"""What follows from topology and services: JetStream configurations, permissions, servers, documents."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mesh.accept import Sent
from mesh.event import declared
from mesh.events.cart import CartIdle, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerUnsubscribed
from mesh.events.interaction import ProductViewed
from mesh.events.mesh import MeshHeartbeat
from mesh.events.order import OrderPlaced
from mesh.service import Service
from mesh.streams import Bucket, ObjectStore
from mesh.subjects import matches, overlap
from mesh.topology.derive.asyncapi import asyncapi
from mesh.topology.derive.catalog import catalog
from mesh.topology.derive.link_permissions import link_permissions, operator_never
from mesh.topology.derive.nats import holdings, streams
from mesh.topology.derive.permissions import service_permissions
from mesh.topology.derive.servers import Address, Plan, server_configs, users
from mesh.topology.mesh_toml import Topology
from mesh.topology.regions import Link
from mesh.topology.render import rendered, stale, write
from mesh.topology.secrets import Placeholders, Secrets
from mesh.topology.stream_settings import own_family

MESH = Topology.of()

loyalty = Service(
    "loyalty",
    publishes=(CartUpdated, CartIdle),
    timers=(CartIdle,),
    buckets=(Bucket("points", int, 3, timedelta(days=1)),),
    object_stores=(ObjectStore("cards"),),
)


@loyalty.on(OrderPlaced, reach="mesh")
async def award_points(placed: OrderPlaced):
    """One point for every whole euro."""
    yield placed


@loyalty.on(ProductViewed, batch=256)
async def count_views(views: list[ProductViewed]):
    """Counts."""
    yield views


@loyalty.on(ConsentChanged, CartUpdated, fanout=True)
async def show_consent(changed: ConsentChanged | CartUpdated):
    """Shows."""
    yield changed


carts = Service("carts", publishes=(ProductViewed,))


@carts.on(ConsentChanged)
async def abandon_cart(changed: ConsentChanged):
    """Abandons."""
    yield changed


def test_the_books_take_everything_that_is_decided_on():
    """Commits, timers and expiry are on; events, timers and carriers are in one stream, personal events are not."""
    commerce = holdings(MESH, [], "eu").streams["COMMERCE_eu"]

    assert {"allow_atomic", "allow_msg_schedules", "allow_msg_ttl", "allow_direct"} <= {
        k for k, v in commerce.items() if v is True
    }
    assert {"ev.eu.cart.>", "ev.eu.order.>", "timer.eu.cart.>", "carrier.eu.commerce.*"} <= set(commerce["subjects"])
    assert not [subject for subject in commerce["subjects"] if subject.startswith("pii.")]
    assert commerce["num_replicas"] == 3
    assert commerce["max_consumers"] == 2000
    assert commerce["max_age"] == 400 * 86400 * 10**9
    assert commerce["duplicate_window"] == 600 * 10**9


def test_the_copy_takes_other_regions_events_and_nothing_else():
    """MESH copies through a consumer that the origin makes, with the origin's filter, and cannot schedule."""
    copy = holdings(MESH, [], "eu").streams["MESH_eu"]

    assert copy["sources"] == [
        {
            "name": f"{family}_{origin}",
            "external": {"api": f"$JS.{origin}.API", "deliver": ""},
            "consumer": {"name": "copy_eu", "deliver_subject": f"copy.{family}_{origin}.eu"},
        }
        for origin in ("us", "ap")
        for family in ("COMMERCE", "OPERATIONS")
    ]
    delivering = holdings(MESH, [], "us").consumers["COMMERCE_us", "copy_eu"]
    assert delivering["filter_subject"] == "ev.us.>"
    assert delivering["deliver_subject"] == "copy.COMMERCE_us.eu"
    assert copy["subjects"] == ["mesh.eu.none"]
    assert "allow_msg_schedules" not in copy


def test_a_single_region_has_nothing_to_copy():
    """Its MESH stream is there for handlers of the whole mesh, and copies nothing until there is a second region."""
    copy = holdings(Topology.of(["us"]), [loyalty], "us").streams["MESH_us"]

    assert copy["sources"] == []


def test_no_two_streams_take_the_same():
    """Each event has one home."""
    subjects = [subject for stream in streams(MESH, "us") for subject in stream.subjects]

    assert [(a, b) for i, a in enumerate(subjects) for b in subjects[i + 1 :] if overlap(a, b)] == []


def test_consumers_follow_from_handlers():
    """A mesh-wide handler binds to its own stream and to MESH, a batch handler has room for batches, a fanout none."""
    made = holdings(MESH, [loyalty], "us").consumers

    assert sorted(name for name in made if not name[1].startswith("copy_")) == [
        ("COMMERCE_us", "loyalty-award-points"),
        ("INTERACTIONS_us", "loyalty-count-views"),
        ("MESH_us", "loyalty-award-points"),
    ]
    assert made["COMMERCE_us", "loyalty-award-points"]["filter_subject"] == "ev.us.order.placed.*"
    points = made["MESH_us", "loyalty-award-points"]
    assert (points["filter_subject"], points["ack_policy"], points["max_deliver"]) == (
        "ev.*.order.placed.*",
        "explicit",
        -1,
    )
    assert made["INTERACTIONS_us", "loyalty-count-views"]["max_ack_pending"] == 1024


def test_buckets_and_shelves_are_streams():
    """As ADR-8 and ADR-20 have them."""
    made = holdings(MESH, [loyalty], "us").streams

    assert made["KV_points"]["max_msgs_per_subject"] == 3
    assert made["KV_points"]["max_age"] == 86400 * 10**9
    assert made["KV_points"]["subject_delete_marker_ttl"] > 0
    assert made["OBJ_cards"]["subjects"] == ["$O.cards.C.>", "$O.cards.M.>"]


def allowed(patterns, subject):
    return any(matches(pattern, subject) for pattern in patterns)


@pytest.mark.parametrize(
    ("subject", "may"),
    [
        ("ev.us.cart.updated.c1", True),
        ("timer.us.cart.idle.c1", True),
        ("timer.us.cart.updated.c1", False),
        ("carrier.us.commerce.x", True),
        ("dead.us.loyalty.loyalty-award-points", True),
        ("$JS.API.CONSUMER.MSG.NEXT.MESH_us.loyalty-award-points", True),
        ("$JS.ACK.us.hash.MESH_us.loyalty-award-points.1.2.3.4.5", True),
        ("$KV.points.k", True),
        ("$O.cards.C.x", True),
        ("ev.eu.cart.updated.c1", False),
        ("ev.us.cart.scored.c1", False),
        ("ev.us.order.placed.o1", False),
        ("pii.us.customer.consent_changed.v", False),
        ("dead.us.carts.x", False),
        ("$JS.API.CONSUMER.MSG.NEXT.PERSONAL_us.carts-abandon-cart", False),
        ("$JS.API.CONSUMER.DELETE.PERSONAL_us.carts-abandon-cart", False),
        ("$JS.API.CONSUMER.CREATE.PERSONAL_us.carts-abandon-cart", False),
        ("$JS.API.CONSUMER.CREATE.PERSONAL_us.private-1", True),
        ("$JS.API.CONSUMER.CREATE.COMMERCE_us.private-1", True),
        ("$JS.API.CONSUMER.DELETE.COMMERCE_us.copy_eu", False),
        ("$JS.API.CONSUMER.CREATE.COMMERCE_us.copy_eu", False),
        ("$JS.API.STREAM.CREATE.X", False),
        ("$JS.API.STREAM.DELETE.COMMERCE_us", False),
        ("$JS.API.CONSUMER.CREATE.MESH_us.x", False),
        ("$KV.carts.k", False),
        ("rpc.us.scoring.score", False),
    ],
)
def test_a_service_may_do_what_it_declared(subject, may):
    """Nothing else: not another's events, not another region's, no durable of another, no administration."""
    granted = service_permissions(loyalty, "us", [loyalty, carts], others=["eu"])

    assert (allowed(granted.publish, subject) and not allowed(granted.never, subject)) == may


@pytest.mark.parametrize(
    ("service", "subject", "may"),
    [
        (Service("pulse", publishes=(MeshHeartbeat,)), "$JS.API.STREAM.MSG.GET.PERSONAL_us", False),
        (
            Service("pulse", publishes=(MeshHeartbeat,)),
            "$JS.API.DIRECT.GET.PERSONAL_us.pii.us.customer.identified.v",
            False,
        ),
        (Service("pulse", publishes=(MeshHeartbeat,)), "$JS.API.STREAM.MSG.GET.COMMERCE_us", True),
        (Service("pulse", publishes=(MeshHeartbeat,)), "timer.us.mesh.heartbeat.us", False),
        (Service("pulse", publishes=(MeshHeartbeat,)), "carrier.us.commerce.x", False),
        (Service("unsubscribing", publishes=(CustomerUnsubscribed,)), "$JS.API.STREAM.MSG.GET.PERSONAL_us", True),
        (Service("mailing", reads_personal_data=True), "$JS.API.STREAM.MSG.GET.PERSONAL_us", True),
        (carts, "$JS.API.STREAM.MSG.GET.PERSONAL_us", True),
    ],
)
def test_personal_events_and_timers_are_for_those_who_declare_them(service, subject, may):
    """Others read no personal event, and write to no stream with timers."""
    granted = service_permissions(service, "us", [service])

    assert allowed(granted.publish, subject) == may


def test_what_is_hosted_has_no_user():
    """A service that only accepts events is run by its host: there is no password that could be stolen."""
    hosted = Service("hosted", publishes=(OrderPlaced,))
    hosted.accepts(OrderPlaced)(_accept_order)

    assert "hosted" not in users(Topology.of(["us"]), [hosted, carts])["us"]
    assert "carts" in users(Topology.of(["us"]), [hosted, carts])["us"]


async def _accept_order(sent: Sent[OrderPlaced]):
    """Takes it."""
    yield sent


def test_a_service_receives_only_its_own_inbox():
    """It receives no answers to others; with handlers it receives requests that name it."""
    assert service_permissions(Service("mute"), "us").subscribe == ("_INBOX_us_mute.>",)
    assert service_permissions(loyalty, "us").subscribe == ("_INBOX_us_loyalty.>", "rpc.us.loyalty.>")


@pytest.mark.parametrize("direction", ["publish", "subscribe"])
def test_no_link_carries_what_stays_at_home(direction):
    """Neither events on their own subjects, timers, dead letters nor values; no inbox; nor the API to fetch them by."""
    carried = getattr(link_permissions(Link(dialer="eu", listener="us")), direction)

    for region in ("us", "eu"):
        for subject in (
            f"pii.{region}.>",
            f"timer.{region}.>",
            f"carrier.{region}.>",
            f"dead.{region}.>",
            "$KV.carts.>",
            "$O.models.>",
            f"$JS.{region}.API.STREAM.MSG.GET.COMMERCE_{region}",
            f"$JS.{region}.API.DIRECT.GET.COMMERCE_{region}",
            f"$JS.{region}.API.CONSUMER.CREATE.>",
            f"$JS.{region}.API.CONSUMER.RESET.COMMERCE_{region}.offers-await-score",
            f"ev.{region}.>",
            f"rpc.{region}.>",
            f"$JS.{region}.API.INFO",
            "_INBOX.>",
            f"_INBOX_{region}_operator.>",
        ):
            assert [pattern for pattern in carried if overlap(pattern, subject)] == [], subject


def test_a_link_carries_each_sides_own():
    """Copies of the origin's events, answers with the target's token: so nothing can be passed on and circle."""
    carried = link_permissions(Link(dialer="eu", listener="us"))

    assert allowed(carried.publish, "copy.COMMERCE_eu.us")
    assert not allowed(carried.publish, "copy.COMMERCE_us.eu")
    assert not allowed(carried.publish, "copy.COMMERCE_ap.us")
    assert not allowed(carried.publish, "copy.COMMERCE_eu.ap")
    assert allowed(carried.subscribe, "copy.COMMERCE_us.eu")


def test_what_crosses_a_link_is_for_servers():
    """Of all that a link carries, a region's operator may publish its live messages and nothing else."""
    carried = link_permissions(Link(dialer="eu", listener="us"))
    for region, other, direction in (("eu", "us", carried.publish), ("us", "eu", carried.subscribe)):
        refused = operator_never(region, [other])

        assert [subject for subject in direction if subject not in refused] == [f"live.{region}.>"]
        assert f"$JS.API.STREAM.CREATE.COMMERCE_{other}" in refused
        assert not [pattern for pattern in refused if overlap(pattern, f"$JS.API.STREAM.CREATE.COMMERCE_{region}")]
    assert operator_never("us", []) == ()


def local_plan(tmp_path, topology):
    names = [name for region in topology.regions for name in region.servers]
    return Plan(
        addresses={
            name: Address(
                host="127.0.0.1",
                bind="127.0.0.1",
                client=20000 + 4 * at,
                cluster=20001 + 4 * at,
                leaf=20002 + 4 * at,
                monitor=20003 + 4 * at,
                store=str(tmp_path / name),
            )
            for at, name in enumerate(names)
        }
    )


def accepted(path, environment=None):
    """What the real server says of a configuration."""
    binary = Path(sys.executable).parent / "nats-server"
    return subprocess.run(
        [str(binary), "-t", "-c", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | (environment or {}),
        timeout=100,
    )


@pytest.mark.parametrize("nodes", [1, 3])
def test_the_server_takes_every_configuration(tmp_path, nodes):
    """`nats-server -t` accepts each node's, with one server in a region and with three."""
    topology = Topology.of(nodes=nodes)
    secrets = Secrets.kept(tmp_path / "secrets.json", users(topology, [loyalty]))
    plan = local_plan(tmp_path, topology)
    for name, config in server_configs(topology, [loyalty], plan.addresses, plan, secrets).items():
        path = tmp_path / f"{name}.conf"
        path.write_text(config)

        ran = accepted(path)

        assert ran.returncode == 0, ran.stderr


def test_rendered_configurations_take_their_secrets_from_the_environment(tmp_path):
    """No password stands in a rendered file; with the variables set the server accepts it, without it does not."""
    path = tmp_path / "ap-1.conf"
    path.write_text(rendered(MESH, [loyalty])["servers/ap-1.conf"])
    names = {word.rstrip(",]") for word in path.read_text().split() if word.startswith("$CARTMESH_")}
    filled = {
        name[1:]: f'"nats://leaf_ap:pw@{name[-10:]}:7422"' if "_URL_" in name else '"a password"' for name in names
    }

    assert accepted(path).returncode != 0
    ran = accepted(path, filled)

    assert ran.returncode == 0, ran.stderr
    assert {name for name in filled if name.endswith("_PASSWORD")} == {
        f"CARTMESH_AP_{user}{login}_PASSWORD"
        for user in ("COPIES", "SYS", "OPERATOR", "LOYALTY")
        for login in ("", "_NEXT")
    }
    assert isinstance(Placeholders(), Secrets)


def test_passwords_are_kept_for_their_owner_alone(tmp_path):
    """The second start has the same ones; new users get new ones; nobody else may read the file."""
    path = tmp_path / "secrets.json"
    first = Secrets.kept(path, {"us": ["shop"]})

    second = Secrets.kept(path, {"us": ["shop", "carts"]})

    assert second.password("us", "shop") == first.password("us", "shop")
    assert second.password("us", "carts") != second.password("us", "shop")
    assert path.stat().st_mode & 0o777 == 0o600


def test_asyncapi_names_every_event_and_operation():
    """A channel with a message per event, and references that all lead somewhere."""
    document = asyncapi(MESH.names, MESH.layout, [loyalty])

    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == {declaration.type for declaration in declared()}
    assert document["channels"]["cart.updated.v1"]["address"] == "ev.{region}.cart.updated.{cart_id}"
    assert document["operations"]["loyalty-publishes-cart.updated.v1"]["action"] == "send"
    assert document["operations"]["loyalty-award-points-consumes-order.placed.v1"]["summary"] == (
        "One point for every whole euro."
    )
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}:
        found = document
        for step in reference.split("/"):
            found = found[step]
        assert found, reference


def test_the_catalogue_shows_who_publishes_what():
    """Arrows, dotted across regions, and each event with its fields."""
    speaker = Service("gateway", publishes=(OrderPlaced,))

    page = catalog([loyalty, speaker])

    assert "s_gateway -.->|order.placed| s_loyalty" in page
    assert "## `cart.updated.v1`" in page
    assert "| customer_id | str \\| None |" in page


def test_rendering_is_the_same_twice_and_says_what_is_stale(tmp_path):
    """Written once nothing is stale; a file edited, missing or too many is."""
    files = rendered(MESH, [loyalty])

    assert write(files, tmp_path) == sorted(files)
    assert stale(rendered(MESH, [loyalty]), tmp_path) == []
    (tmp_path / "catalog.md").write_text("edited")
    (tmp_path / "streams.json").unlink()
    (tmp_path / "stray.txt").write_text("stray")
    assert stale(files, tmp_path) == ["catalog.md", "stray.txt", "streams.json"]
    write(files, tmp_path)
    assert stale(files, tmp_path) == []


def test_everything_follows_a_stream_of_its_own():
    """Streams, copies, consumers, permissions, links, mappings and documents know a domain's own stream."""
    topology = replace(
        Topology.of(["us", "eu"], nodes=1), streams=(own_family("orders", ["order"], keep=timedelta(days=9)),)
    )
    shop, at = Service("shop", publishes=(OrderPlaced, CartUpdated)), Address(host="nats")

    made = holdings(topology, [loyalty], "us")
    orders = made.streams["ORDERS_us"]

    assert orders["subjects"] == ["ev.us.order.>", "timer.us.order.>", "carrier.us.orders.*"]
    assert (orders["max_age"], orders["allow_atomic"], orders["allow_msg_schedules"]) == (9 * 86400 * 10**9, True, True)
    assert not [subject for subject in made.streams["COMMERCE_us"]["subjects"] if ".order" in subject]
    assert [source["name"] for source in made.streams["MESH_us"]["sources"]] == [
        "COMMERCE_eu",
        "OPERATIONS_eu",
        "ORDERS_eu",
    ]
    assert ("ORDERS_us", "loyalty-award-points") in made.consumers
    assert "carrier.us.orders.*" in service_permissions(shop, "us", layout=topology.layout).publish
    (link,) = topology.links
    crossing = link_permissions(link, topology.layout).publish
    assert "$JS.us.API.CONSUMER.RESET.ORDERS_us.copy_eu" in crossing
    plan = Plan(addresses=dict.fromkeys(("us-1", "eu-1"), at))
    mapped = server_configs(topology, [loyalty], ["us-1"], plan, Placeholders())["us-1"]
    assert "$JS.API.CONSUMER.RESET.ORDERS_us.copy_eu" in mapped
    assert (
        asyncapi(topology.names, topology.layout, [loyalty])["channels"]["order.placed.v1"]["x-stream"]
        == "ORDERS_{region}"
    )
