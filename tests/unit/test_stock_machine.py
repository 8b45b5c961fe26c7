"""Random histories of stock in two linked regions: whatever is asked, delivered twice, late or in another order."""

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.stock import (
    StockLevelChanged,
    StockLine,
    StockLoanGranted,
    StockLoanRequested,
    StockReleaseRequested,
    StockReservationChanged,
    StockReservationExpired,
    StockReservationPostponed,
    StockReservationRequested,
    StockSaleRequested,
)
from mesh.streams import StreamLayout, mesh_stream
from mesh.topology.stream_settings import own_family
from services.stock import decide_requests, grant_loan, receive_loan
from services.stock.audit import AUDITED, StockAudit, Units, in_flight, loans_between
from services.stock.commands import StockCommand, apply
from services.stock.level import NotEnough
from services.stock.stock_settings import StockSettings
from services.stock.writer import StockWriter

REGIONS, SKUS, WAREHOUSES, ORDERS = ("us", "eu"), ("s1", "s2"), ("w1", "w2"), ("o1", "o2", "o3", "o4", "o5", "o6")
DELIVERED = (
    StockReservationRequested,
    StockReservationPostponed,
    StockReleaseRequested,
    StockSaleRequested,
    StockReservationExpired,
    StockLoanRequested,
    StockLoanGranted,
)
LAYOUT = StreamLayout(own=(own_family("stock", ["stock"], keep=timedelta(days=400)),))
PATIENCE = StockSettings(stock_loan_pause=timedelta(milliseconds=1), stock_loan_patience=timedelta(milliseconds=50))
region, sku, warehouse = st.sampled_from(REGIONS), st.sampled_from(SKUS), st.sampled_from(WAREHOUSES)
lines = st.lists(st.builds(StockLine, sku=sku, quantity=st.integers(1, 3)), min_size=1, max_size=2)
picks = st.lists(st.integers(0, 999), min_size=1, max_size=6)
"""Which of some: drawn before it is known how many there are, which the clock may change."""
wrong = st.sampled_from([(), (StockLine(sku="s1", quantity=-1),), (StockLine(sku="no token", quantity=1),)])


def _picked(some, pick):
    return list({(at := number % len(some)): some[at] for number in pick}.values())


class StockLife(RuleBasedStateMachine):
    """Two regions with two processes of the service each; the test decides what is delivered, and when."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.regions = MemoryMesh(*REGIONS, layout=LAYOUT)
        self.meshes = {
            name: Mesh(self.regions.broker(name), "stock", others=tuple(o for o in REGIONS if o != name), layout=LAYOUT)
            for name in REGIONS
        }
        self.writers = {name: [StockWriter(self.meshes[name], PATIENCE) for _ in range(2)] for name in REGIONS}
        self.seen = dict.fromkeys(((name, stream) for name in REGIONS for stream in self._streams(name)), 0)
        self.waiting = {name: [] for name in REGIONS}
        self.handled = {name: [] for name in REGIONS}
        self.commands = []

    def teardown(self):
        """Close the loop."""
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def run(self, made):
        """What a coroutine returns."""
        return self.loop.run_until_complete(made)

    def _streams(self, name):
        return (f"STOCK_{name}", mesh_stream(name))

    async def _arrivals(self, name):
        for stream in self._streams(name):
            async for received in self.meshes[name].read(*DELIVERED, stream=stream, after=self.seen[name, stream]):
                self.seen[name, stream] = received.sequence
                self.waiting[name].append(received)

    async def _handle(self, name, some, process):
        writer = self.writers[name][process]
        requests = [one for one in some if not isinstance(one.event, StockLoanRequested | StockLoanGranted)]
        if requests:
            await decide_requests(requests, writer)
        for one in some:
            if isinstance(one.event, StockLoanRequested):
                await grant_loan(one, writer)
            elif isinstance(one.event, StockLoanGranted):
                await receive_loan(one, writer)

    @rule(
        region=region,
        kind=st.sampled_from(["receive", "adjust", "count", "transfer"]),
        sku=sku,
        warehouse=warehouse,
        quantity=st.integers(1, 8),
        sign=st.sampled_from([1, -1]),
    )
    def command(self, region, kind, sku, warehouse, quantity, sign):
        """A merchant's command, which may ask for more than there is."""
        other = next(name for name in WAREHOUSES if name != warehouse)
        given = StockCommand(
            id=f"c{len(self.commands)}",
            sku=sku,
            warehouse=warehouse,
            quantity=quantity * sign if kind == "adjust" else quantity,
            to_warehouse=other if kind == "transfer" else None,
        )
        try:
            self.run(apply(self.writers[region][0], kind, given))
        except NotEnough:
            return
        self.commands.append((region, kind, given))

    @rule(pick=picks)
    def repeat_command(self, pick):
        """A command that is sent again changes nothing."""
        if self.commands:
            region, kind, given = self.commands[pick[0] % len(self.commands)]
            assert self.run(apply(self.writers[region][1], kind, given)).repeated

    @initialize(units=st.lists(st.integers(2, 12), min_size=4, max_size=4))
    def fill(self, units):
        """Each region has some of each SKU."""
        places = [(region, sku) for region in REGIONS for sku in SKUS]
        for at, ((region, sku), quantity) in enumerate(zip(places, units, strict=True)):
            if quantity:
                given = StockCommand(id=f"first-{at}", sku=sku, warehouse="w1", quantity=quantity)
                self.run(apply(self.writers[region][0], "receive", given))

    @rule(region=region, order=st.sampled_from(ORDERS), lines=lines | lines | lines | wrong)
    def request(self, region, order, lines):
        """A checkout asks for units."""
        until = datetime.now(UTC) + timedelta(hours=1)
        event = StockReservationRequested(order_id=f"{region}-{order}", lines=tuple(lines), until=until)
        self.run(self.meshes[region].publish(event))

    @rule(region=region, orders=st.lists(st.sampled_from(ORDERS), unique=True, min_size=2), lines=lines)
    def rush(self, region, orders, lines):
        """Several checkouts want the same at one moment, and both processes decide."""
        until = datetime.now(UTC) + timedelta(hours=1)
        for order in orders:
            event = StockReservationRequested(order_id=f"{region}-{order}", lines=tuple(lines), until=until)
            self.run(self.meshes[region].publish(event))
        self.run(self._arrivals(region))
        some, self.waiting[region] = self.waiting[region], []
        self.handled[region] += some

        async def both():
            await asyncio.gather(*(self._handle(region, some[process::2], process) for process in (0, 1)))

        self.run(both())

    @rule(region=region, order=st.sampled_from(ORDERS))
    def sell(self, region, order):
        """A checkout sells."""
        self.run(self.meshes[region].publish(StockSaleRequested(order_id=f"{region}-{order}")))

    @rule(region=region, order=st.sampled_from(ORDERS))
    def release(self, region, order):
        """A checkout gives back."""
        self.run(self.meshes[region].publish(StockReleaseRequested(order_id=f"{region}-{order}")))

    @rule(region=region, order=st.sampled_from(ORDERS))
    def expire(self, region, order):
        """A reservation's time is over."""
        state = self.run(self.meshes[region].last(StockReservationChanged, f"{region}-{order}"))
        if state:
            over = StockReservationExpired(order_id=f"{region}-{order}", request_id=state.event.answers)
            self.run(self.meshes[region].publish(over))

    @rule(region=region, process=st.integers(0, 1))
    def deliver_all(self, region, process):
        """All that waits is delivered in the order in which it was stored, and what waits for loans."""
        self.run(asyncio.sleep(0.002))
        self.run(self._arrivals(region))
        some, self.waiting[region] = self.waiting[region], []
        self.handled[region] += some
        self.run(self._handle(region, some, process))

    @rule(region=region, pick=picks, process=st.integers(0, 1))
    def deliver(self, region, pick, process):
        """Some of what waits is delivered, in any order."""
        self.run(asyncio.sleep(0.002))
        self.run(self._arrivals(region))
        if self.waiting[region]:
            some = _picked(self.waiting[region], pick)
            self.waiting[region] = [one for one in self.waiting[region] if one not in some]
            self.handled[region] += some
            self.run(self._handle(region, some, process))

    @rule(region=region, pick=picks)
    def deliver_again(self, region, pick):
        """What was handled is delivered once more, to both processes at once."""
        if self.handled[region]:
            some = _picked(self.handled[region], pick)

            async def twice():
                await asyncio.gather(*(self._handle(region, some, process) for process in (0, 1)))

            self.run(twice())

    @rule(cut=st.booleans())
    def link(self, cut):
        """The link between the regions goes down, and comes up."""
        (self.regions.cut if cut else self.regions.heal)("us")

    @invariant()
    def no_unit_is_sold_twice(self):
        """The levels are what the log adds up to from nothing, and no unit is promised twice, here or abroad."""
        audits = [self.run(self._audit(name)) for name in REGIONS]

        assert [sentence for audit in audits for sentence in audit.violations()] == []
        assert list(loans_between(audits)) == []
        assert all(account.opening == Units() for audit in audits for account in audit.accounts.values())
        flying = in_flight(audits)
        for name in SKUS:
            totals = [audit.accounts[name].total for audit in audits if name in audit.accounts]
            assert sum(one.lent - one.borrowed for one in totals) == flying.get(name, 0)
            assert sum(one.reserved + one.sold for one in totals) <= sum(one.received for one in totals)

    async def _audit(self, name):
        audit = StockAudit(name)
        async for received in self.meshes[name].read(*AUDITED):
            audit.apply(received)
        for key, account in audit.accounts.items():
            level = (await self.meshes[name].last(StockLevelChanged, key)).event
            assert level.on_hand == level.received + level.borrowed - level.removed - level.sold - level.lent
            assert (level.available, level.available >= 0) == (level.on_hand - level.reserved, True)
            assert level == account.level
        return audit


StockLife.TestCase.settings = settings(max_examples=30, stateful_step_count=40)
TestStockLife = StockLife.TestCase
