"""Events evolve: what was stored in an older version is read as the newest one, wherever it is read."""

import sys
from datetime import UTC, datetime
from types import new_class

import msgspec
import pytest

from mesh.broker.protocol import Outgoing
from mesh.envelope import Envelope, decode, encode
from mesh.errors import DeclarationError, InvalidEvent, NewerVersion
from mesh.event import Event, declaration_of, declared, event, find
from mesh.events.cart import CartIdle
from mesh.publish import Cause
from mesh.topology.check import Committed, contracts, lost
from mesh.topology.derive.schemas import contract, schemas

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def named(data):
    """Version 1 had no name."""
    return data | {"colour": data.pop("color")}


def shaded(data):
    """Version 2 had no shades."""
    return data | {"shades": [data["colour"]]}


@pytest.fixture
def painted(monkeypatch):
    """Declares `cart.painted` in a version, with its fields; forgotten after the test."""
    module = sys.modules[Event.__module__]  # `mesh.event` is also the name of the decorator
    for registry in ("_by_type", "_by_name", "_by_kind"):
        monkeypatch.setattr(module, registry, dict(getattr(module, registry)))

    def declare(version=1, upcasts=(), personal=False, **fields):
        body = {"__module__": "mesh.events.cart", "__doc__": "A cart was painted."}
        body["__annotations__"] = {"cart_id": str, **fields}
        kind = new_class("CartPainted", (Event,), {}, lambda namespace: namespace.update(body))
        return event(key="cart_id", version=version, upcasts=upcasts, personal=personal)(kind)

    return declare


@pytest.fixture
def newest(painted):
    """The third version."""
    return painted(3, (named, shaded), colour=str, shades=tuple[str, ...])


def stored(version, **data):
    return msgspec.json.encode(
        Envelope(
            specversion="1.0",
            id=f"e{version}",
            source="/us/carts",
            type=f"cart.painted.v{version}",
            subject="c1",
            time=NOW,
            data=msgspec.Raw(msgspec.json.encode({"cart_id": "c1", **data})),
        )
    )


@pytest.mark.parametrize(
    ("version", "data"),
    [(1, {"color": "red"}), (2, {"colour": "red"}), (3, {"colour": "red", "shades": ["red"]})],
)
def test_every_version_is_read_as_the_newest(newest, version, data):
    """Each step leads to the next; the newest is decoded as it is."""
    envelope, read = decode(stored(version, **data))

    assert read == newest(cart_id="c1", colour="red", shades=("red",))
    assert envelope.type == f"cart.painted.v{version}"


def test_it_is_written_in_the_newest_version(newest):
    """And only that is declared: an older version has no writer and needs none."""
    body = encode(newest(cart_id="c1", colour="red", shades=()), id="e", region="us", source="carts")

    assert msgspec.json.decode(body)["type"] == "cart.painted.v3"
    assert [one.type for one in declared() if one.name == "cart.painted"] == ["cart.painted.v3"]
    assert find("cart.painted.v1") is find("cart.painted.v3") is declaration_of(newest)


async def test_a_history_of_all_versions_is_one_kind(newest, mesh):
    """With its conditions on the one subject they share, and `last` and `read` alike."""
    bodies = stored(1, color="red"), stored(2, colour="blue"), stored(3, colour="tea", shades=[])
    for at, body in enumerate(bodies):
        await mesh.broker.store("COMMERCE_us", Outgoing(subject="ev.us.cart.painted.c1", body=body, id=f"e{at}"))

    history = await mesh.history("c1", "cart")

    assert [one.event.colour for one in history.of(newest)] == ["red", "blue", "tea"]
    assert history.unchanged(newest)[0].sequence == 3
    assert (await mesh.last(newest, "c1")).event.colour == "tea"
    assert [one.event.shades async for one in mesh.read(newest)] == [("red",), ("blue",), ()]


async def test_a_history_with_a_newer_version_is_not_read_without_it(painted, mesh):
    """An old program that left it out would decide on half of what happened."""
    painted(1, color=str)
    body = stored(2, colour="red")
    await mesh.broker.store("COMMERCE_us", Outgoing(subject="ev.us.cart.painted.c1", body=body, id="e"))

    with pytest.raises(NewerVersion, match=r"cart\.painted\.v2 e2: this program knows cart\.painted\.v1; update"):
        await mesh.history("c1", "cart")


@pytest.mark.parametrize("type_", ["cart.painted.v0", "cart.painted.vx", "cart.sung.v2", "painted"])
def test_what_is_no_version_at_all_is_invalid(painted, type_):
    """It never becomes readable, so it is a dead letter and not retried."""
    painted(1, color=str)

    with pytest.raises(InvalidEvent, match="unknown event type"):
        decode(stored(1, color="red").replace(b"cart.painted.v1", type_.encode()))


def test_an_upcast_that_fails_names_the_event(newest):
    """The event cannot be read; the program goes on."""
    with pytest.raises(InvalidEvent, match=r"cart\.painted\.v1 e1: upcast to cart\.painted\.v3: KeyError\('color'\)"):
        decode(stored(1))
    with pytest.raises(InvalidEvent, match=r"cart\.painted\.v2 e2: Expected `str`, got `int`"):
        decode(stored(2, colour=1))


def test_a_version_without_its_upcasts_is_refused(painted):
    """Stored events of every version before it are still read."""
    with pytest.raises(DeclarationError, match=r"CartPainted is version 3 and has 1 upcasts.*it needs 2"):
        painted(3, (named,), colour=str)


async def test_an_effect_has_the_same_id_in_every_version(painted, mesh):
    """An event that the old program handled is handled again by the new one without a second effect."""
    cause = Cause(id="i", source="carts.paint")
    await mesh.publish(painted(1, color=str)(cart_id="c1", color="red"), cause=cause)

    second = painted(2, (named,), colour=str)
    await mesh.publish(second(cart_id="c1", colour="red"), cause=cause)

    assert [one.event async for one in mesh.read(second)] == [second(cart_id="c1", colour="red")]


def test_the_schemas_of_older_versions_are_kept(painted):
    """Rendered again and again, they stay what was committed; one that is missing is an error."""
    first = contract(declaration_of(painted(1, color=str)))
    painted(2, (named,), colour=str)
    before = Committed(schemas={"cart.painted.v1": first, declaration_of(CartIdle).type: {}})

    kept = schemas(before.schemas)

    assert kept["cart.painted.v1"] == first
    assert kept["cart.painted.v2"]["schema"]["$defs"]["CartPainted"]["properties"].keys() == {"cart_id", "colour"}
    assert contracts(Committed(schemas=kept)) == []
    assert [one for one in lost(Committed(schemas=kept)) if one.startswith("cart.painted")] == []
    assert lost(Committed())[0].startswith("cart.painted.v1: its schema is not in what was rendered before")


def test_a_new_version_stays_in_its_stream(painted):
    """Personal or not decides about the subject, which all versions share."""
    first = contract(declaration_of(painted(1, color=str)))
    painted(2, (named,), personal=True, colour=str)

    assert contracts(Committed(schemas={"cart.painted.v1": first})) == [
        "cart.painted.v2: personal was False in cart.painted.v1. Versions share one subject: make it another event"
    ]
