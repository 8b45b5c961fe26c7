"""The mesh's publish and consume beside raw nats-py and FastStream, on the same servers in the same run.

All do the same work on one stream of three copies: publish events with deduplication ids; fetch them from a
durable consumer, look at each, acknowledge each. Rounds alternate; the median of each counts.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from statistics import median
from uuid import uuid4

import msgspec

from mesh.broker.connection import Login
from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.raw import RawClient, RawMessage
from mesh.envelope import encode
from mesh.event import declaration_of
from mesh.events.interaction import ProductViewed
from mesh.mesh import Mesh
from mesh.money import Money
from mesh.publish import Draft
from mesh.runtime.run import running
from mesh.service import Service
from mesh.subjects import every, subject_of

WAVE = 250
"""Events per call of the mesh's publish."""
WAVES = 4
"""Such calls at once; the raw client is given as many unacknowledged messages."""
PATIENCE = 60.0

Run = Callable[[], Awaitable[float]]
"""One round; returns events a second."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Events a second of each contender, None where it could not take part (`skipped` says why)."""

    raw: float
    mesh: float
    faststream: float | None = None
    skipped: str | None = None

    @property
    def to_raw(self) -> float:
        """The mesh's rate as a share of raw nats-py's."""
        return self.mesh / self.raw

    @property
    def to_faststream(self) -> float | None:
        """The mesh's rate as a multiple of FastStream's."""
        return self.mesh / self.faststream if self.faststream else None


async def compare(login: Login, *, messages: int = 20_000, rounds: int = 3) -> tuple[Figures, Figures]:
    """Publishing and consuming in one region, as an operator there. The stream should have no other consumers."""
    broker = await JetStreamBroker.connect(login.region, login.servers, user=login.user, password=login.password)
    try:
        async with RawClient.connect(login) as raw:
            contest = Contest(raw, Mesh(broker, "bench"), messages)
            publish = await _alternate({"raw": contest.publish_raw, "mesh": contest.publish_mesh}, rounds)
            contenders: dict[str, Run] = {"raw": contest.consume_raw, "mesh": contest.consume_mesh}
            skipped = None if find_spec("faststream") else "faststream is not installed (uv sync --group bench)"
            if not skipped:
                contenders["faststream"] = lambda: contest.consume_faststream(login)
            consume = await _alternate(contenders, rounds)
    finally:
        await broker.drain()
    return publish, msgspec.structs.replace(consume, skipped=skipped)


async def _alternate(contenders: dict[str, Run], rounds: int) -> Figures:
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        await run()  # the first round warms up: imports, caches, the stream's first block
    for _ in range(rounds):
        for name, run in contenders.items():
            rates[name].append(await run())
    rate = {name: median(found) for name, found in rates.items()}
    return Figures(raw=rate["raw"], mesh=rate["mesh"], faststream=rate.get("faststream"))


class Contest:
    """The contenders' rounds over `messages` product views; each returns events a second."""

    def __init__(self, raw: RawClient, mesh: Mesh, messages: int) -> None:
        self.raw, self.mesh, self.messages = raw, mesh, messages
        declaration = declaration_of(ProductViewed)
        self.stream, self.subjects = mesh.stream_of(declaration.kind), every(declaration, region=mesh.region)

    async def publish_raw(self) -> float:
        """Ready-made bytes through `publish_async`, with ids, until all are acknowledged."""
        region = self.mesh.region
        ready = [
            RawMessage(
                subject_of(region, event),
                encode(event, id=id_, region=region, source="bench"),
                {"Nats-Msg-Id": id_},
            )
            for event, id_ in self._events()
        ]
        return self.messages / await self.raw.publish(ready)

    async def publish_mesh(self) -> float:
        """Events through `Mesh.publish`, encoding included, until all are acknowledged."""
        drafts = [Draft(event=event, id=id_) for event, id_ in self._events()]
        waves = iter([drafts[at : at + WAVE] for at in range(0, len(drafts), WAVE)])
        began = time.perf_counter()

        async def publish() -> None:
            for wave in waves:
                await self.mesh.publish(*wave)

        await asyncio.gather(*(publish() for _ in range(WAVES)))
        return self.messages / (time.perf_counter() - began)

    async def consume_raw(self) -> float:
        """Fetch and acknowledge with nats-py; nothing is decoded."""
        durable = await self._durable("bench-raw")
        return self.messages / await self.raw.consume(self.stream, durable, self.messages)

    async def consume_mesh(self) -> float:
        """A handler of a running service: decoded, validated, handled, acknowledged."""
        service, counted = Service("bench"), _Count(self.messages)

        @service.on(ProductViewed, concurrency=64)
        async def count_view(viewed: ProductViewed) -> None:
            counted.add(viewed.product_id)

        await self._durable(service.bindings[0].durable)
        began = time.perf_counter()
        async with running(service, self.mesh):
            await counted.full()
            return counted.taken / (time.perf_counter() - began)

    async def consume_faststream(self, login: Login) -> float:
        """The same handler as FastStream's documentation writes one: pydantic models, pull, acknowledged."""
        from services.demo.bench.faststream import application  # noqa: PLC0415  an optional dependency

        counted, durable = _Count(self.messages), await self._durable("bench-faststream")
        broker = application(
            login, stream=self.stream, subjects=self.subjects, durable=durable, fetch=WAVE * 2, count=counted.add
        )
        began = time.perf_counter()
        await broker.start()
        try:
            await counted.full()
            return counted.taken / (time.perf_counter() - began)
        finally:
            await broker.stop()

    async def _durable(self, name: str) -> str:
        await self.raw.add_durable(self.stream, self.subjects, name, last=self.messages)
        return name

    def _events(self) -> list[tuple[ProductViewed, str]]:
        price = Money(amount=4999, currency="EUR")
        return [
            (
                ProductViewed(
                    visitor_id=f"visitor-{at % 997}",
                    product_id=f"product-{at % 89}",
                    session_id=f"session-{at % 1999}",
                    category="electronics.audio.headphone",
                    brand="acme",
                    price=price,
                    device="mobile",
                ),
                uuid4().hex,
            )
            for at in range(self.messages)
        ]


class _Count:
    """Counts what was seen until it is enough."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.taken, self._enough = wanted, 0, asyncio.Event()

    def add(self, _product: str) -> None:
        self.taken += 1
        if self.taken >= self.wanted:
            self._enough.set()

    async def full(self) -> None:
        await asyncio.wait_for(self._enough.wait(), PATIENCE)
