"""The live board of one region of two, on real servers with no more rights than it declares, over real HTTP."""

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio

from mesh import Mesh
from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.memory import MemoryMesh
from mesh.dead_letters import store_dead_letter
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.mesh import ConsumerLag, EventCount, MeshMeasured
from mesh.events.offer import Check, OfferDecided, OfferSent
from mesh.money import Money
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.mesh_toml import Topology
from services.operations import board

pytestmark = pytest.mark.asyncio(loop_scope="module")
LINE = CartLine(product_id="p1", quantity=2, price=Money(amount=700, currency="EUR"), name="Tea tin")
WITHIN = 90.0


@dataclass(frozen=True)
class Place:
    """Two regions, an operator of each, and the board of the first, with what a script says to be let in."""

    servers: LocalServers
    operators: dict[str, Mesh]
    url: str
    headers: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(signed_in):
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(
            LocalServers(Topology.of(["us", "eu"], nodes=1), services=[board.service])
        )
        operators = {region: await stack.enter_async_context(connect_as(servers, region)) for region in ("us", "eu")}
        for operator in operators.values():
            stack.push_async_callback(ended(asyncio.create_task(measure(operator))))
        mesh = await stack.enter_async_context(connect_as(servers, "us", "board"))
        run = await stack.enter_async_context(running(board.service, mesh, http=("127.0.0.1", 0)))
        headers = await signed_in(operators["us"])
        yield Place(servers, operators, f"http://127.0.0.1:{run.port}/board", headers)


@asynccontextmanager
async def connect_as(servers, region, name="operator"):
    """A user's connection."""
    login = servers.credentials(region, name)
    broker = await JetStreamBroker.connect(
        region, login.servers, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix
    )
    try:
        yield Mesh(broker, name, others=tuple({"us", "eu"} - {region}))
    finally:
        await broker.drain()


async def measure(mesh):
    """Say twice a second how the region is, as each region does."""
    while True:
        stale = {name: age.total_seconds() if age else None for name, age in (await mesh.staleness()).items()}
        flow = EventCount(type="interaction.product_viewed", total=7, last_hour=7)
        lag = ConsumerLag(stream="COMMERCE_us", durable="carts-abandon-cart", pending=0, ack_pending=0, redelivered=0)
        at = datetime.now(UTC)
        events_of = MeshMeasured(
            region=mesh.region,
            at=at,
            nodes=1,
            nodes_up=1,
            event_counts=(flow,),
            consumers=(lag,),
            staleness=stale,
            dead_letters=0,
        )
        await mesh.publish(events_of)
        await asyncio.sleep(0.5)


def ended(task):
    """What ends a task."""

    async def end():
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    return end


@asynccontextmanager
async def looking(url, headers):
    """The pictures of an open stream, one after the other: `(name, data)`."""
    async with (
        httpx.AsyncClient(timeout=WITHIN, headers=headers) as client,
        client.stream("GET", f"{url}/live") as answer,
    ):
        assert answer.status_code == 200, answer.status_code
        yield events_of(answer)


async def events_of(answer):
    name = ""
    async for line in answer.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


async def until(pictures, true):
    """The first picture of which something is true."""
    async with asyncio.timeout(WITHIN):
        async for name, picture in pictures:
            if name == "state" and true(picture):
                return picture
    raise AssertionError("the stream ended")


def stage(picture, name):
    return next(one for one in picture["funnel"] if one["stage"] == name)


async def test_a_page_receives_the_history_and_then_each_state(place):
    """First ten minutes of figures for its charts, then the picture again and again."""
    async with looking(place.url, place.headers) as pictures:
        name, past = await anext(pictures)
        again = [await anext(pictures) for _ in range(3)]

    assert (name, past["step"], len(past["at"])) == ("history", 1.0, 600)
    assert [one for one, _ in again] == ["state"] * 3
    assert list(again[0][1]) == [
        "at",
        "region",
        "regions",
        "links",
        "services",
        "funnel",
        "simulated",
        "offers",
        "dead_letters",
        "unknown",
        "missing",
    ]


async def test_what_happens_in_another_region_is_shown(place):
    """A cart of eu, its offer and what became of it stand on the board of us, with their money and reasons."""
    async with looking(place.url, place.headers) as pictures:
        await place.operators["eu"].publish(CartUpdated(cart_id="c1", visitor_id="secret-visitor", lines=(LINE,)))
        filled = await until(pictures, lambda picture: stage(picture, "carted")["count"])
        await place.operators["eu"].publish(
            OfferDecided(
                cart_id="c1",
                visitor_id="secret-visitor",
                offer_id="o1",
                abandonment_id="a1",
                attempt=1,
                outcome="approved",
                reason="",
                checks=(Check(name="consent", passed=True, value="email: granted"),),
                journey="abandoned-cart",
                due=datetime.now(UTC),
                lines=(LINE,),
                total=LINE.price * 2,
            ),
            OfferSent(cart_id="c1", visitor_id="secret-visitor", offer_id="o1", channel="email"),
        )
        offered = await until(pictures, lambda picture: stage(picture, "offered")["count"])

    money = [{"amount": 1400, "currency": "EUR"}]
    assert stage(filled, "carted")["money"] == stage(offered, "offered")["money"] == money
    [offer] = offered["offers"]
    assert (offer["region"], offer["lines"], offer["checks"][0]["value"]) == ("eu", ["2 x Tea tin"], "email: granted")
    assert [(event["kind"], event["channel"]) for event in offer["events"]] == [("sent", "email")]
    assert "secret-visitor" not in json.dumps(offered)


async def test_a_dead_letter_is_shown_without_its_payload(place, eventually):
    """Service, handler, type and reason of a dead letter are seen within seconds; what it says is not."""
    operator = place.operators["us"]
    await operator.publish(CartUpdated(cart_id="c9", visitor_id="secret-visitor", lines=()))
    message = await operator.broker.last("COMMERCE_us", "ev.us.cart.updated.c9")
    await store_dead_letter(operator, "carts", "carts-abandon-cart", message, "KeyError: 'price'")

    async with looking(place.url, place.headers) as pictures:
        picture = await until(pictures, lambda picture: picture["dead_letters"])

    [dead_letter] = picture["dead_letters"]
    shown = {name: dead_letter[name] for name in ("region", "service", "handler", "type", "number", "reason")}
    assert shown == {
        "region": "us",
        "service": "carts",
        "handler": "abandon-cart",
        "type": "cart.updated",
        "number": 1,
        "reason": "KeyError: 'price'",
    }
    assert dead_letter["id"]
    assert "secret-visitor" not in json.dumps(picture)


async def test_a_region_that_is_cut_off_is_seen_and_comes_back(place):
    """Within seconds the board says that eu is silent; healed, what happened there meanwhile is counted once."""
    async with looking(place.url, place.headers) as pictures:
        await until(pictures, lambda picture: not picture["unknown"])
        place.servers.cut("eu")
        await place.operators["eu"].publish(CartUpdated(cart_id="c2", visitor_id="v", lines=(LINE,)))
        silent = await until(pictures, lambda picture: "eu has not reported for " in str(picture["unknown"]))
        await place.servers.heal("eu")
        healed = await until(
            pictures, lambda picture: not picture["unknown"] and stage(picture, "carted")["count"] == 2
        )

    assert next(link["staleness"] for link in silent["links"] if link["from"] == "us") >= 3
    assert next(one["rates"] for one in silent["regions"] if one["name"] == "eu") == {}
    assert next(link["staleness"] for link in healed["links"] if link["from"] == "us") <= 3


async def test_a_board_that_starts_later_knows_the_hour(place, eventually):
    """A second replica shows the same carts, offers and dead letters: all of it is in the streams."""
    async with (
        connect_as(place.servers, "us", "board") as mesh,
        running(board.service, mesh, http=("127.0.0.1", 0)) as run,
    ):

        async def alike():
            pictures = [await state(url, place.headers) for url in (place.url, f"http://127.0.0.1:{run.port}/board")]
            shown = [{name: picture[name] for name in ("funnel", "offers", "dead_letters")} for picture in pictures]
            return shown[0]["offers"] and shown[0] == shown[1]

        await eventually(alike)


async def state(url, headers):
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        answer = await client.get(f"{url}/state")
    return answer.raise_for_status().json()


@asynccontextmanager
async def in_memory(signed_in):
    """A board without servers: its address, what a script says to be let in, and its mesh."""
    mesh = Mesh(MemoryMesh("us", "eu").broker("us"), "board", others=("eu",))
    async with running(board.service, mesh, http=("127.0.0.1", 0)) as run:
        yield f"http://127.0.0.1:{run.port}/board", await signed_in(mesh), mesh


async def test_a_reader_too_many_is_asked_to_come_back(monkeypatch, eventually, signed_in):
    """The number of streams is bounded; a place is free again when a reader goes."""
    monkeypatch.setenv("CARTMESH_BOARD_READERS", "1")
    async with in_memory(signed_in) as (url, headers, _), httpx.AsyncClient(headers=headers, timeout=60) as client:
        async with looking(url, headers) as pictures:
            await anext(pictures)
            refused = await client.get(f"{url}/live")

        async def free():
            async with client.stream("GET", f"{url}/live") as answer:
                return answer.status_code == 200

        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        await eventually(free)


async def test_a_reader_that_takes_nothing_is_let_go(monkeypatch, eventually, signed_in):
    """It gives its place to others, who meanwhile get every picture."""
    monkeypatch.setenv("CARTMESH_BOARD_READERS", "1")
    monkeypatch.setenv("CARTMESH_BOARD_PATIENCE", "0.2")
    monkeypatch.setenv("CARTMESH_BOARD_MOST", "0.25")  # the sooner its line is full
    monkeypatch.setattr("services.operations.board.board.Board.state_as_json", lambda _: b'"%s"' % (b"x" * 4_000_000))
    async with in_memory(signed_in) as (url, headers, _), httpx.AsyncClient(headers=headers, timeout=60) as client:
        host, port = url.removeprefix("http://").removesuffix("/board").split(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1024)
        bearer = headers["Authorization"].encode()
        writer.write(b"GET /board/live HTTP/1.1\r\nHost: board\r\nAuthorization: %s\r\n\r\n" % bearer)
        await writer.drain()

        async def free():
            async with client.stream("GET", f"{url}/live") as answer:
                return answer.status_code == 200

        async def taken():
            return not await free()

        await eventually(taken)
        await eventually(free)
        writer.transport.abort()


async def test_a_drain_ends_the_streams(signed_in):
    """Browsers come back to another process; nothing waits for a stream that never ends."""
    began = asyncio.Event()

    async def read(url, headers):
        async with looking(url, headers) as pictures:
            async for _ in pictures:
                began.set()

    async with in_memory(signed_in) as (url, headers, _):
        reading = asyncio.create_task(read(url, headers))
        await began.wait()
        asked = asyncio.get_running_loop().time()
    await reading
    took = asyncio.get_running_loop().time() - asked

    assert took < 9, "the HTTP server alone would wait ten seconds"


async def test_a_board_that_is_not_done_reading_says_so(signed_in):
    """What keeps it from being ready stands in the picture, too."""
    async with in_memory(signed_in) as (url, headers, mesh):
        mesh.readiness_checks.append(lambda: "board still reads MESH_us/board-show-carts-and-offers")
        picture = await state(url, headers)

    assert "catching up: board still reads MESH_us/board-show-carts-and-offers" in picture["unknown"]
