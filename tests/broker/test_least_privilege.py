"""The permissions that follow from declarations suffice: a service does all it may with its own user, and only that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mesh.broker.jetstream import JetStreamBroker
from mesh.dead_letters import Redo, Redone
from mesh.errors import Bury
from mesh.events.cart import CartAbandoned, CartIdle, CartScored, CartUpdated
from mesh.events.customer import ConsentChanged
from mesh.events.interaction import ProductViewed
from mesh.events.order import OrderPlaced
from mesh.events.user import UserScored
from mesh.mesh import Mesh
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.service import Service
from mesh.streams import Bucket, ObjectStore
from mesh.timers import Cancel, Timer
from mesh.topology.mesh_toml import Topology


class Question(msgspec.Struct):
    number: int


class Reply(msgspec.Struct):
    doubled: int


NOTES = Bucket("notes", dict)
PAPERS = ObjectStore("papers")
seen: dict[str, list] = {}

front = Service(
    "front",
    publishes=(CartUpdated, CartIdle, ProductViewed, ConsentChanged, OrderPlaced),
    timers=(CartIdle,),
    buckets=(NOTES,),
    object_stores=(PAPERS,),
    asks=("back",),
)
back = Service("back", publishes=(UserScored, CartScored, CartAbandoned))


@front.on(UserScored, fanout=True)
async def show_score(scored: UserScored) -> None:
    seen.setdefault("shown", []).append(scored.visitor_id)


@back.on(ProductViewed, batch=10)
async def score_user(views: list[ProductViewed]) -> AsyncIterator[UserScored]:
    for view in views:
        yield UserScored(
            visitor_id=view.visitor_id, propensity=0.5, model_version="base-rate", reasons=(), last_event_id="c"
        )


@back.on(CartUpdated, reach="mesh")
async def see_cart(updated: CartUpdated) -> None:
    if not updated.lines and updated.cart_id == "evil" and not seen.get("mended"):
        raise Bury("an evil cart")
    seen.setdefault("carts", []).append(updated.cart_id)


@back.on(ConsentChanged)
async def see_consent(changed: ConsentChanged) -> None:
    seen.setdefault("consent", []).append(changed.visitor_id)


@back.answers
async def double(question: Question) -> Reply:
    return Reply(doubled=2 * question.number)


@pytest.fixture
async def meshes():
    """Both services at work in one region, each through its own user: (front's mesh, back's mesh, operator's)."""
    seen.clear()
    async with AsyncExitStack() as stack:
        topology = Topology.of(["us", "eu"], nodes=1)
        servers = await stack.enter_async_context(LocalServers(topology, services=[front, back]))

        async def connected_as(service):
            login = servers.credentials("us", service)
            broker = await JetStreamBroker.connect(
                "us", login.servers, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix
            )
            stack.push_async_callback(broker.drain)
            return Mesh(broker, service, others=("eu",))

        made = [await connected_as("front"), await connected_as("back"), await connected_as("operator")]
        await stack.enter_async_context(running(front, made[0]))
        await stack.enter_async_context(running(back, made[1]))
        yield made


async def test_what_is_published_is_consumed(meshes, eventually):
    """Events, timers, cancellations and personal ones reach batches, mesh-wide and private consumers."""
    mesh, _, _ = meshes

    soon = datetime.now(UTC) + timedelta(hours=1)
    await mesh.publish(
        CartUpdated(cart_id="c1", visitor_id="v", lines=()), Timer(CartIdle(cart_id="c1", update_id="u"), soon)
    )
    await mesh.publish(CartUpdated(cart_id="c1", visitor_id="v", lines=()), Cancel(CartIdle, "c1"))
    await mesh.publish(ConsentChanged(visitor_id="v", channel="email", granted=True))
    await mesh.publish(ProductViewed(visitor_id="v", product_id="p"))

    await eventually(lambda: seen.get("shown") == ["v"] and seen.get("consent") == ["v"])
    await eventually(lambda: seen.get("carts") == ["c1", "c1"])


async def test_histories_and_state_are_read_and_written(meshes):
    """History, last event, streams, values with watching and emptying, large values."""
    mesh, _, _ = meshes
    await mesh.publish(CartUpdated(cart_id="c1", visitor_id="v", lines=()))
    state, object_store = mesh.state(NOTES), mesh.objects(PAPERS)

    assert (await mesh.last(CartUpdated, "c1")).event.cart_id == "c1"
    assert len((await mesh.history("c1", "cart")).of(CartUpdated)) == 1
    assert [received.event.cart_id async for received in mesh.read(CartUpdated)] == ["c1"]
    assert await mesh.staleness() == {"eu": None}
    first = await state.put("a", {"n": 1})
    await state.put("a", {"n": 2}, revision=first)
    await state.put("b", {})
    await state.delete("b")
    assert [item async for item in state.items()] == [("a", {"n": 2})]
    async with state.watch() as changes:
        assert await anext(changes) == ("a", {"n": 2})
    await state.purge()
    assert await state.get("a") is None
    await object_store.put("paper", b"x" * 300_000)
    assert await object_store.get("paper") == b"x" * 300_000
    assert await object_store.names() == ["paper"]


async def test_services_ask_each_other(meshes):
    """A question to a service that is declared in `asks` is answered."""
    mesh, _, _ = meshes

    assert await mesh.ask("back", "double", Question(number=21), Reply) == Reply(doubled=42)


async def test_what_cannot_be_handled_is_a_dead_letter_and_redone(meshes, eventually):
    """A service stores dead letters under its own name, and handles one again when the operator asks."""
    mesh, _, operator = meshes
    await mesh.publish(CartUpdated(cart_id="evil", visitor_id="v", lines=()))

    async def stored():
        return [message async for message in operator.broker.read("DEAD_us", ["dead.us.back.back-see-cart"])]

    [dead_letter] = await eventually(stored)
    seen["mended"] = True
    answer = await operator.ask("back", "redo", Redo(durable="back-see-cart", sequence=dead_letter.sequence), Redone)

    assert answer == Redone(error=None)
    assert seen["carts"] == ["evil"]


async def test_nothing_was_denied(meshes, eventually, capsys):
    """All of this happened without one refusal in the log."""
    mesh, _, _ = meshes
    await mesh.publish(ProductViewed(visitor_id="w", product_id="p"))
    await eventually(lambda: seen.get("shown") == ["w"])
    await asyncio.gather(*(mesh.publish(CartUpdated(cart_id=f"c{n}", visitor_id="v", lines=())) for n in range(50)))
    await eventually(lambda: len(seen.get("carts", [])) == 50)

    assert "denied" not in capsys.readouterr().out
