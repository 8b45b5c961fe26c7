"""What these tests share: a mesh to break, shoppers who use it meanwhile, and a count of what became of every event."""

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any, Self

import msgspec
import pytest

from mesh.errors import Unavailable
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartUpdated
from mesh.topology.apply import api
from services.demo.afternoon.shoppers import DemoShoppers
from services.demo.demo_settings import WITHOUT_LIMITS
from services.demo.replay.client import Client
from services.demo.replay.collector import Collector
from services.demo.replay.environment import Environment, built
from services.demo.replay.evidence import Evidence
from services.demo.replay.offers import Abandonment, abandonments
from services.demo.replay.report import broken, report
from services.demo.replay.settle import settle
from services.demo.replay.storefront_events import Storefront

WITHIN = 180.0
ABANDON_AFTER = timedelta(seconds=2)
ACK_WAIT = timedelta(seconds=5)
SELLING = ("carts", "channels", "gateway", "heartbeat", "identity", "offers", "scoring")
"""The services that take part in selling and mailing: a third of the processes of a whole region."""


@asynccontextmanager
async def mesh_in(directory: Path, regions: tuple[str, ...], *, nodes: int, only: Sequence[str] = ()):
    """A mesh with every service, or `only` some.

    What a killed service did not acknowledge is redelivered after `ACK_WAIT`.
    """
    settings = {"CARTMESH_ABANDON_AFTER": f"{ABANDON_AFTER.total_seconds():g}s", **WITHOUT_LIMITS}
    async with built(regions, nodes=nodes, environment=settings, directory=directory, only=only) as stage:
        await asyncio.gather(*(_redeliver_soon(stage, region) for region in regions))
        yield stage


async def _redeliver_soon(stage: Environment, region: str) -> None:
    connection = await stage.up.servers.operator(region)
    for stream in (f"{family}_{region}" for family in ("COMMERCE", "INTERACTIONS", "PERSONAL", "OPERATIONS", "MESH")):
        listed = await api(connection, f"CONSUMER.LIST.{stream}")
        for consumer in listed["consumers"]:
            if not consumer["config"].get("durable_name") or consumer["config"].get("deliver_subject"):
                continue  # private, or through which another region copies
            config = consumer["config"] | {"ack_wait": int(ACK_WAIT.total_seconds() * 1e9)}
            asked = {"stream_name": stream, "config": config, "action": "update"}
            answer = await api(connection, f"CONSUMER.DURABLE.CREATE.{stream}.{consumer['name']}", asked)
            assert "error" not in answer, answer


@dataclass
class ShopperLoad:
    """Shoppers who keep coming: all fill a cart; one in three buys at once, one about when it is due, one leaves it."""

    stage: Environment
    per_second: float
    collector: Collector = field(init=False)
    client: Client = field(init=False)

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self.collector = await Collector.begin(self.stage.meshes, self.stage.record, nodes=self.stage.nodes)
        self.client = await self._stack.enter_async_context(
            Client(self.stage.gateways, key=self.stage.key, lanes=8, patience=120)
        )
        self._run = f"load{token_hex(3)}"
        self._shoppers = DemoShoppers(self.client, Storefront(run=self._run))
        self._buying: set[asyncio.Task[None]] = set()
        self._arriving = asyncio.create_task(self._arrive())
        self._stack.push_async_callback(self._stop)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _stop(self) -> None:
        for task in (self._arriving, *self._buying):
            task.cancel()
        await asyncio.gather(self._arriving, *self._buying, return_exceptions=True)

    async def _arrive(self) -> None:
        for number in itertools.count():
            region = self.stage.regions[number % len(self.stage.regions)]
            visitor = f"{self._run}-{number}"
            self._shoppers.act(region, visitor, "cart", name="Desk Lamp", price=4900)
            kind = number // len(self.stage.regions) % 3
            if kind:
                pause = 0.3 if kind == 1 else ABANDON_AFTER.total_seconds() + random.uniform(-0.05, 0.25)
                task = asyncio.create_task(self._buy(region, visitor, pause))
                self._buying.add(task)
                task.add_done_callback(self._buying.discard)
            await asyncio.sleep(1 / self.per_second)

    async def _buy(self, region: str, visitor: str, pause: float) -> None:
        await asyncio.sleep(pause)
        self._shoppers.act(region, visitor, "purchase", name="Desk Lamp", price=4900)

    def stored(self, *, since: datetime, region: str | None = None) -> int:
        """Events sent and acknowledged since a moment."""
        return sum(
            one.answer == "accepted" and one.sent_at >= since and region in (None, one.region)
            for one in self.client.sent
        )

    async def wait_for_events(self, events: int, *, region: str | None = None) -> None:
        """Wait until so many events that are sent from now on were acknowledged."""
        now = datetime.now(UTC)
        await until(lambda: self.stored(since=now, region=region) >= events, f"{events} events to be stored")

    async def finish(self) -> None:
        """No more shoppers come; those who are there finish."""
        self._arriving.cancel()
        await asyncio.gather(self._arriving, *self._buying, return_exceptions=True)
        await self.client.flush()

    async def outcome(self, *, patience: timedelta = timedelta(seconds=90)) -> "Outcome":
        """Let no more shoppers arrive; then what became of everything, once nothing is left to come."""
        await self.finish()
        await settle(self.collector, self.client.sent, patience=patience)
        # What a killed service did not acknowledge comes again only after ACK_WAIT; `settle` cannot see it before.
        await until(self._all_ended, "every cart to be bought or left")
        left = await settle(self.collector, self.client.sent, patience=patience)
        return Outcome(evidence=self.collector.finish(self.client.sent, self.collector.evidence.cut), left=left)

    async def _all_ended(self) -> bool:
        with suppress(Unavailable):
            return not open_carts(await self.collector.collect())
        return False


def open_carts(evidence: Evidence) -> set[str]:
    """Carts that were filled and to which nothing happened since: neither bought nor abandoned."""
    happened = [one.event for one in evidence.stored]
    ends = {one.cart_id for one in happened if isinstance(one, CartConverted | CartAbandoned | CartClosed)}
    return {one.cart_id for one in happened if isinstance(one, CartUpdated)} - ends


@dataclass
class Outcome:
    """What a run came to, counted from the streams and the mail server's record."""

    evidence: Evidence
    left: str | None

    def __post_init__(self) -> None:
        self.figures: dict[str, Any] = report(self.evidence)
        self.abandonments: list[Abandonment] = abandonments(self.evidence)

    def keeps_every_promise(self) -> None:
        """Stored once, decided once, sent at most once and never after the purchase, no cart without an end."""
        print(msgspec.json.encode(self.figures).decode())
        unanswered = [one for one in self.evidence.sent if one.answer != "accepted"]
        final = [sum(made.event.outcome != "held" for made in one.decisions) for one in self.abandonments]
        assert (self.left, broken(self.figures), unanswered) == (None, [], [])
        assert set(final) <= {1}, "an abandoned cart has more or less than one final decision"
        assert self.figures["dead_letters"] == 0
        assert (self.figures["offers_sent"] > 0, self.figures["carts_abandoned"] > 0) == (True, True)


async def until(true: Callable[[], Any], what: str, *, within: float = WITHIN) -> Any:
    """Wait for a condition; it may be a plain or an asynchronous function. Asking takes a third of the time at most."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + within
    while True:
        asked, answer = clock(), true()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        assert clock() < deadline, f"waited {within:g} s for {what}"
        await asyncio.sleep(max(0.02, 2 * (clock() - asked)))


@dataclass(frozen=True)
class Chaos:
    """The tools, as one fixture: test folders are no packages that could be imported."""

    mesh = staticmethod(mesh_in)
    load = ShopperLoad
    until = staticmethod(until)
    abandon_after = ABANDON_AFTER
    selling = SELLING


@pytest.fixture(scope="session")
def chaos() -> Chaos:
    """A mesh to break, shoppers on it, and what became of their carts."""
    return Chaos()
