"""The life of a model on real servers, while shoppers go on leaving carts and processes are killed."""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count

import msgspec
import psutil
import pytest
from cyclopts import App

from mesh import Mesh, Money
from mesh.events.cart import CartAbandoned, CartLine, CartScored, CartUpdated
from mesh.events.interaction import CheckoutStarted, ProductSearched, ProductViewed
from mesh.events.model import ModelPromoted, ModelReviewDue, ModelShadowed, ModelStaged, ModelTrained
from mesh.events.order import OrderPlaced
from mesh.publish import Draft
from mesh.runtime.local_servers import LocalServers
from mesh.service import Service
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from ml.cli import commands
from ml.lifecycle import retraining
from ml.lifecycle.registry import Registry
from ml.lifecycle.version import takes_part
from ml.scoring import service as scoring

PRICE = Money(amount=1999, currency="EUR")
BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
SEEDS = 220
# In the place of the gateway and the carts, so that each abandonment has an id that the test knows.
shop = Service(
    "shop",
    publishes=(ProductViewed, ProductSearched, CheckoutStarted, CartUpdated, OrderPlaced, CartAbandoned),
)


class Shop:
    """Shoppers one after another: each looks around, leaves a cart, and perhaps returns; the keen ones do."""

    def __init__(self, mesh):
        self.mesh, self.left, self._numbers, self._dice = mesh, [], count(), random.Random(4)

    async def visit(self, visitors=1):
        """Let some shoppers come and go."""
        said = [change for _ in range(visitors) for change in self._visit(next(self._numbers))]
        for at in range(0, len(said), 200):
            await asyncio.gather(*(self.mesh.publish(draft) for draft in said[at : at + 200]))

    async def go_on(self):
        """Shoppers come until cancelled."""
        while True:
            await self.visit()
            await asyncio.sleep(0.1)

    def _visit(self, number):
        who = {"visitor_id": f"v{number}", "session_id": f"s{number}"}
        at, keen = BEGAN + timedelta(minutes=10 * number), self._dice.random() < 0.4
        for view in range(3):
            product = "p0" if keen else f"p{self._dice.randrange(40)}"
            viewed = ProductViewed(product_id=product, price=PRICE, **who)
            yield Draft(event=viewed, id=f"view-{number}-{view}", time=at + timedelta(seconds=20 * view))
        line = CartLine(product_id="p0", quantity=1, price=PRICE)
        put, due = at + timedelta(minutes=2), at + timedelta(minutes=32)
        cart = f"c{number}"
        yield Draft(event=CartUpdated(cart_id=cart, lines=(line,), **who), id=f"cart-{number}", time=put)
        left = CartAbandoned(cart_id=cart, lines=(line,), total=PRICE, left_at=put, due=due, **who)
        self.left.append(f"left-{number}")
        yield Draft(event=left, id=f"left-{number}", time=due)
        if self._dice.random() < (0.8 if keen else 0.1):
            order = OrderPlaced(order_id=f"o{number}", cart_id=cart, lines=(line,), total=PRICE, **who)
            yield Draft(event=order, id=f"order-{number}", time=due + timedelta(minutes=15))


@pytest.fixture
async def world(tmp_path):
    """One server; yields its folder and a way to connect as somebody."""
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(
            LocalServers(Topology.of(["us"], nodes=1), services=(shop, scoring.service, retraining.service))
        )
        servers.access.write(tmp_path / "servers.json")
        (tmp_path / "topology.json").write_bytes(msgspec.json.encode(servers.topology))

        async def as_user(name) -> Mesh:
            mesh = await connect(servers.access, "us", name)
            stack.push_async_callback(mesh.broker.drain)
            return mesh

        yield tmp_path, as_user


@asynccontextmanager
async def worker(folder, name):
    """`cartmesh run <name>`; killed at the end whatever happens."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mesh.cli", "run", name, "--region", "us"),
        *("--servers", str(folder / "servers.json"), "--topology", str(folder / "topology.json")),
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 90)
        yield process
    finally:
        below = [psutil.Process(process.pid)] if process.returncode is None else []
        for parent in list(below):
            below += parent.children(recursive=True)
        for one in below:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        await process.wait()


@asynccontextmanager
async def shoppers(market):
    """Shoppers come and go until the block ends."""
    task = asyncio.create_task(market.go_on())
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def operator(world, capsys):
    """Give a command as an operator does; returns what it printed."""
    folder, _ = world
    app = App()
    commands(app)

    async def give(*words):
        capsys.readouterr()
        line = [*words, "--servers", str(folder / "servers.json")]
        await asyncio.to_thread(app, line, exit_on_error=False, result_action="return_value")
        return capsys.readouterr().out

    return give


@pytest.mark.drill
@pytest.mark.timeout(600)  # two trainings and a dozen commands, on a busy machine
async def test_a_model_lives_while_carts_are_left(world, operator, eventually):
    """Trained, shadowed, canary, promoted, rolled back, and a scorer killed: every cart is scored exactly once."""
    folder, as_user = world
    log, market = await as_user("operator"), Shop(await as_user("shop"))
    models = Registry(log)

    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(worker(folder, "scoring"))
        await market.visit(SEEDS)
        await eventually(lambda: _all_scored(log, market), within=150)
        await stack.enter_async_context(shoppers(market))

        assert "serves in us" in await operator("train", "--from-mesh")
        one = (await models.current("propensity")).version
        await eventually(lambda: _newest(log, 5, one), within=150)

        await operator("train", "--from-mesh")
        two = (await models.versions("propensity"))[-1].version
        if (await models.current("propensity")).candidate is None:  # the gate may say no of so small a log
            await operator("models", "shadow", two)
        await eventually(lambda: _shadows(log, 10), within=150)
        await stack.enter_async_context(worker(folder, "scoring"))
        first.kill()

        await operator("models", "canary", two, "--share", "0.5", "--force")
        await eventually(lambda: _newest(log, 1, two), within=150)
        await operator("models", "promote", two, "--reason", "a story", "--force")
        await eventually(lambda: _newest(log, 5, two), within=150)
        await operator("models", "rollback")
        await eventually(lambda: _newest(log, 5, one), within=150)
        listed = json.loads(await operator("models", "list", "--json"))
        audited = json.loads(await operator("models", "audit", "--sample", "100", "--json"))
    async with worker(folder, "scoring"):
        await eventually(lambda: _all_scored(log, market), within=150)

    stored = await _scores(log)
    assert Counter(score.event.abandonment_id for score in stored) == Counter(market.left)
    assert len({score.id for score in stored}) == len(stored)
    assert {score.event.model_version for score in stored} == {"base-rate", one, two}
    assert all(score.event.evidence is not None for score in stored)
    promoted = [(one.event.version, one.event.replaced) async for one in log.read(ModelPromoted)]
    assert promoted == [(one, None), (two, one), (one, two)]
    assert [one.event.stage async for one in log.read(ModelStaged)] == ["shadow", "canary"]
    shadowed = [one.event async for one in log.read(ModelShadowed)]
    assert max(Counter(one.abandonment_id for one in shadowed).values()) == 1
    assert all(takes_part(one.cart_id, 0.5) for one in shadowed if one.served_version == two)
    assert [(shelf["current"]["version"], shelf["current"]["previous"]) for shelf in listed] == [(one, two)]
    assert [(audit["checked"] > 0, audit["unexplained"]) for audit in audited] == [(True, 0)], audited


async def _scores(mesh):
    return [received async for received in mesh.read(CartScored)]


async def _all_scored(mesh, market):
    known = {received.event.abandonment_id for received in await _scores(mesh)}
    return known.issuperset(market.left)


async def _newest(mesh, most, version):
    return {received.event.model_version for received in (await _scores(mesh))[-most:]} == {version}


async def _shadows(mesh, least):
    return len([1 async for _ in mesh.read(ModelShadowed)]) >= least


@pytest.mark.drill
@pytest.mark.timeout(600)
async def test_a_review_that_is_killed_makes_one_version_and_what_serves_goes_on(world, operator, eventually):
    """Killed while it learns, the training is taken over: one version, named after the review, in shadow."""
    folder, as_user = world
    log, trainer, market = await as_user("operator"), await as_user("training"), Shop(await as_user("shop"))
    await market.visit(SEEDS)
    assert "serves in us" in await operator("train", "--from-mesh")
    serving = (await Registry(log).current("propensity")).version
    await market.visit(30)
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)  # so that no other review is called for

    async with worker(folder, "training") as process:
        await trainer.publish(Draft(event=ModelReviewDue(model="propensity", due=due), id="the-review"))

        def learning():
            return [
                child for child in psutil.Process(process.pid).children() if "ml.training.process" in child.cmdline()
            ]

        (child,) = await eventually(learning, within=150)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        current = await Registry(log).current("propensity")
        assert (current.version, current.candidate) == (serving, None)
    async with worker(folder, "training"):

        async def tried():
            return (await Registry(log).current("propensity")).candidate

        candidate = await eventually(tried, within=120)
    await eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, within=150)

    trained = [received.event async for received in log.read(ModelTrained)]
    assert candidate.version.startswith(f"{due:%Y%m%d-%H%M%S}-")
    assert Counter(one.version for one in trained) == {serving: 1, candidate.version: 1}
    assert {version.version for version in await Registry(log).versions("propensity")} == {
        serving,
        candidate.version,
    }
    assert (await Registry(log).current("propensity")).version == serving
