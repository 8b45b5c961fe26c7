"""One code and two regions on real servers, with no more rights than the service declares, and a link that is cut."""

import asyncio
import random
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from time import perf_counter

import httpx
import pytest
import pytest_asyncio

from mesh import Money
from mesh.envelope import derive_id
from mesh.errors import Conflict, Unavailable
from mesh.events.budget import BudgetChanged
from mesh.events.code import CodeChanged, Discount
from mesh.events.order import Command
from mesh.events.product import ProductListed
from mesh.publish import Cause
from mesh.runtime.discovery import discover
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from notifications.decision_input import DecisionInput
from notifications.evaluation import Evaluation
from notifications.journeys import Journey
from notifications.promises.budget import reserve
from notifications.promises.promise import promise
from services import carts, promotions
from services.operations import copies, heartbeat
from services.orders.taking import NewOrder, WantedLine
from services.orders.write import Writer
from services.promotions.code_index import CodeIndex
from services.promotions.code_key import code_id
from services.promotions.code_lists import CodeLists, divided

pytestmark = pytest.mark.asyncio(loop_scope="module")
one_loop = partial(pytest_asyncio.fixture, loop_scope="module")
REGIONS = ("us", "eu")
KEY = {"authorization": "Bearer secret"}


class Codes:
    """The promotions of two regions, as the shop's servers there see them."""

    def __init__(self, servers, meshes, clients, eventually):
        self.servers, self.meshes, self.clients, self.eventually = servers, meshes, clients, eventually

    async def issue(self, home, *codes):
        """Codes whose home is a region."""
        for code in codes:
            made = CodeChanged(
                code_id=code_id(code),
                code=code,
                state="free",
                discount=Discount(percent=10),
                expires=datetime.now(UTC) + timedelta(days=1),
            )
            await self.meshes[home].commit([made], Cause(id=derive_id("test", code), source="test"))

    async def arrived(self, home, *codes):
        """Wait until they are known in the other region, too."""
        keys = [code_id(code) for code in codes]
        other = next(one for one in REGIONS if one != home)

        async def known():
            return len(await self.meshes[other].last_of_each(CodeChanged, keys, region=home)) == len(keys)

        await self.eventually(known)

    async def send(self, region, action, code, order_id, key=None):
        body, headers = {"order_id": order_id}, KEY | {"idempotency-key": key or f"{action} {order_id}"}
        return (await self.clients[region].post(f"/v1/codes/{code}/{action}", json=body, headers=headers)).status_code

    async def settled(self, region, action, code, order_id):
        """The status once the code can be checked: a shop's server tries again after a 503, under the same key."""

        async def answered():
            status = await self.send(region, action, code, order_id)
            return status if status != 503 else None

        return await self.eventually(answered)

    async def winners(self, codes):
        """Of each code the orders that its home says have redeemed it, over its whole life."""
        found = {code: set() for code in codes}
        names = {code_id(code): code for code in codes}
        for region in REGIONS:
            async for one in self.meshes[region].read(CodeChanged):
                if one.event.state == "redeemed" and one.event.code_id in names:
                    found[names[one.event.code_id]].add(one.event.holder.order_id)
        return found


@one_loop
async def stack():
    """What a test opens, closed after it."""
    async with AsyncExitStack() as opened:
        yield opened


@one_loop(scope="module")
async def codes(eventually):
    """Two linked regions of one server each, for all tests of this file."""
    patch = pytest.MonkeyPatch()
    patch.setenv("CARTMESH_SERVER_KEYS", "secret")
    patch.setenv("CARTMESH_CODE_PATIENCE", "2s")
    topology = replace(Topology.of(REGIONS, nodes=1), streams=Topology.load("mesh.toml").streams)
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        servers = await stack.enter_async_context(LocalServers(topology, services=discover()))
        meshes, clients = {}, {}
        for region in REGIONS:
            others = tuple(one for one in REGIONS if one != region)
            for one in (copies.service, heartbeat.service, carts.service, promotions.service):
                mesh = await connect(servers.access, region, one.name, others=others)
                stack.push_async_callback(mesh.broker.drain)
                run = await stack.enter_async_context(
                    running(one, mesh, http=("127.0.0.1", 0) if one.serves_http else None)
                )
            meshes[region] = mesh
            client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port}", timeout=60)
            clients[region] = await stack.enter_async_context(client)

        async def linked():
            ages = [age for mesh in meshes.values() for age in (await mesh.staleness()).values()]
            return all(age is not None and age < timedelta(seconds=3) for age in ages)

        await eventually(linked)
        yield Codes(servers, meshes, clients, eventually)


async def race(codes, names):
    """Both regions redeem each code at the same moment; the statuses, sorted."""

    async def both(code):
        asked = [codes.settled(region, "redeem", code, f"{region}-{code}") for region in REGIONS]
        return sorted(await asyncio.gather(*asked))

    return [await both(name) for name in names]


async def test_of_two_regions_exactly_one_redeems_a_code_and_none_while_its_home_is_cut_off(codes):
    """Raced while linked; then 503 on the far side of the cut, and the home's answer once it is healed."""
    names = [f"R{n}" for n in range(8)]
    for at, home in enumerate(REGIONS):
        await codes.issue(home, *names[at::2], f"FAR-{home}")
        await codes.arrived(home, *names[at::2], f"FAR-{home}")

    assert await race(codes, names) == [[200, 404]] * len(names)

    codes.servers.cut("eu")
    away = await codes.send("us", "redeem", "FAR-eu", "us-far")
    at_home = await codes.settled("us", "redeem", "FAR-us", "us-near")
    taken = await codes.settled("eu", "redeem", "FAR-eu", "eu-far")
    await codes.servers.heal("eu")

    assert (away, at_home, taken) == (503, 200, 200)
    assert await codes.settled("us", "redeem", "FAR-eu", "us-far") == 404
    assert all(len(orders) == 1 for orders in (await codes.winners([*names, "FAR-eu", "FAR-us"])).values())


async def test_orders_and_offers_may_do_what_their_codes_need(codes, stack):
    """With no more rights than they declare: an order with another region's code, a list's code, and a budget."""
    await codes.issue("eu", "FAR-1")
    await codes.issue("us", "OWN-1")
    await codes.arrived("eu", "FAR-1")
    assert await codes.settled("us", "redeem", "OWN-1", "own") == 200
    meshes = {}
    for name in ("orders", "offers", "gateway"):
        meshes[name] = await connect(codes.servers.access, "us", name, others=("eu",))
        stack.push_async_callback(meshes[name].broker.drain)
    tea = Money(amount=1299, currency="EUR")
    await meshes["gateway"].publish(ProductListed(product_id="tea", price=tea))
    new = NewOrder(
        lines=(WantedLine(product_id="tea", quantity=2),), payment_method="tok", customer_id="ada", coupon="FAR-1"
    )
    own = divided((f"SUMMER-{n}" for n in range(20)), REGIONS)["us"]
    await CodeLists(codes.meshes["us"]).add("summer", own[:1], None, "ada")
    journey = Journey(name="sale", template="t", quiet="", code_list="summer", budget=("50 EUR",))
    now = datetime.now(UTC)
    inputs = DecisionInput(cart="left", cart_detail="", due=now, total=tea * 2, person="ada")
    approved = Evaluation(outcome="approved", reason="", checks=(), discount_percent=10)

    async def ordered():
        with suppress(Unavailable):  # the shop's server tries again, under the same key
            return await Writer(meshes["orders"]).create(new, Command(key="order-1", body="b"))

    taken = await codes.eventually(ordered)
    offers = meshes["offers"]
    promised = await promise(approved, journey, "offer-1", inputs, offers, now)
    await offers.publish(*promised.changes)
    without = await promise(approved, journey, "offer-2", inputs, offers, now)

    assert (taken.order.total.amount, promised.code) == (2338, own[0])
    assert (await offers.last(BudgetChanged, "sale")).event.committed == (Money(amount=260, currency="EUR"),)
    assert (without.evaluation.outcome, without.evaluation.reason, without.changes) == ("held", "no code left", ())
    index = CodeIndex(codes.meshes["us"])
    await index.look()
    assert index.budgets["sale", "us"].committed == (Money(amount=260, currency="EUR"),)
    assert ("own", "us") in {(one.order_id, one.region) for one in index.newest}
    held = await codes.meshes["us"].last(CodeChanged, code_id("FAR-1"), region="eu")
    assert (held.event.state, held.event.holder.order_id, held.event.holder.region) == ("reserved", "order-1", "us")


async def test_two_regions_that_are_cut_off_stay_within_a_budget(codes, stack):
    """Twenty offers of 9 EUR at once in each region, and 100 EUR for all: never more, and each region its part."""
    journey = Journey(name="cut-sale", template="t", quiet="", budget=("100 EUR",))
    cost = Money(amount=900, currency="EUR")
    meshes = [await connect(codes.servers.access, one, "offers", others=tuple({*REGIONS} - {one})) for one in REGIONS]
    for mesh in meshes:
        stack.push_async_callback(mesh.broker.drain)

    async def offer(mesh, number):
        while True:
            made = await reserve(journey, f"{mesh.region}-{number}", cost, mesh, datetime.now(UTC))
            try:
                if made.changes and made.again is None:
                    await mesh.publish(*made.changes)
            except Conflict:
                continue
            return made.check.passed

    codes.servers.cut("eu")
    try:
        passed = await asyncio.gather(*(offer(mesh, number) for mesh in meshes for number in range(20)))
    finally:
        await codes.servers.heal("eu")

    levels = [(await mesh.last(BudgetChanged, "cut-sale")).event for mesh in meshes]
    assert sum(passed) == 10
    assert [one.committed for one in levels] == [(Money(amount=4500, currency="EUR"),)] * 2


@pytest.mark.drill
@pytest.mark.timeout(600)
async def test_a_long_race_for_codes_with_cuts(codes):
    """Every code raced by both regions, again and again until each has answered, while the link comes and goes."""
    names = [f"L{n}" for n in range(300)]
    for at, home in enumerate(REGIONS):
        await codes.issue(home, *names[at::2])
        await codes.arrived(home, *names[at::2])
    places, rng, statuses, took = asyncio.Semaphore(20), random.Random(7), {}, []

    async def redeem(region, code):
        async with places:
            while True:
                began = perf_counter()
                status = await codes.send(region, "redeem", code, f"{region}-{code}")
                took.append(perf_counter() - began)
                if status != 503:
                    statuses[region, code] = status
                    return
                await asyncio.sleep(rng.uniform(0.2, 1))

    async def trouble():
        while True:
            await asyncio.sleep(rng.uniform(1, 3))
            codes.servers.cut("eu")
            await asyncio.sleep(rng.uniform(1, 6))
            await codes.servers.heal("eu")

    troubled = asyncio.create_task(trouble())
    try:
        await asyncio.gather(*(redeem(region, code) for code in names for region in REGIONS))
    finally:
        troubled.cancel()
    twice = [code for code, orders in (await codes.winners(names)).items() if len(orders) != 1]
    print(
        f"{len(names)} codes, {len(took)} requests, longest {max(took):.2f} s, redeemed not exactly once: {len(twice)}"
    )
    assert twice == []
    assert all(sorted(statuses[region, code] for region in REGIONS) == [200, 404] for code in names)
