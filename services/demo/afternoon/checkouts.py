"""Checkouts: what is ordered during the demo through the shop's interface of orders, and what became of it.

Twelve buyers in all regions want the last three units of one product, one buyer's card is declined, one order looks
like fraud, and one buyer simply buys.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

import msgspec

from mesh import Mesh
from mesh.errors import MeshError
from mesh.events.payment import PaymentFlagged
from mesh.events.stock import StockReservationChanged
from mesh.runtime.up import Up
from services.demo.afternoon.timeline import Timeline
from services.demo.bench.http_client import HttpClient, connected
from services.demo.flash_sale.buyers import Buyers, Placed
from services.demo.flash_sale.ledger import Ledger, draw_up
from services.demo.flash_sale.plan import Plan, Purchase
from services.demo.flash_sale.records import Reader, Records
from services.demo.flash_sale.sale import ended
from services.demo.replay.collector import read_mails

CHAIR, LAMP = "last-chairs", "hall-lamp"
PRICES = {CHAIR: 24900, LAMP: 3900}
UNITS, BUYERS = 3, 12
"""Units of the chair in all regions together, and how many buyers want one."""
LAMPS = 30
"""Lamps in each region: enough for everybody."""
DECLINED_BUYER, THIEF = "otto", "mallory"
PATIENCE = timedelta(seconds=90)
"""How long nothing may happen to the checkouts that have not ended before they count as stuck."""


@dataclass(frozen=True, kw_only=True)
class CheckoutFigures:
    """What was counted from the streams and the provider's books.

    `sold` are the units of the chair that were sold. `undone` says whether the order whose card was declined is
    cancelled without a charge, its stock released and its buyer written to; `flagged` are orders flagged as fraud.
    """

    ledger: Ledger
    sold: int
    undone: bool
    flagged: int

    @property
    def wrong(self) -> list[str]:
        """What is not as it should be, in words; empty where all is."""
        found = [f"of the orders {getattr(self.ledger, name)} are {name}" for name in self.ledger.wrong]
        found += [] if self.undone else ["the order whose payment was declined is not undone"]
        return found + ([] if self.flagged else ["no order was flagged as fraud"])


class Checkouts:
    """Sends the orders, and counts at the end what became of them."""

    def __init__(self, meshes: dict[str, Mesh], up: Up, orders: Mapping[str, HttpClient]) -> None:
        self._regions = tuple(meshes)
        self._reader = Reader(meshes, up.directory / "payment-provider" / "charges.jsonl")
        self.buyers = Buyers(orders, _plan(self._regions))

    async def order_everything(self, timeline: Timeline) -> None:
        """All orders, each answered."""
        home = self._regions[0]
        timeline.add("otto pays with a card that his bank declines", region=home, style="bold")
        timeline.add("mallory has the bill sent to another country than the parcel", region=home, style="bold")
        await self.buyers.order_all(single_buyers(home))
        where = f"in {len(self._regions)} regions" if len(self._regions) > 1 else "at once"
        timeline.add(f"{BUYERS} buyers {where} want the last {UNITS} chairs", region=home, style="bold")
        await self.buyers.order_all(chair_buyers(self._regions))

    async def figures(self, inbox: Path) -> CheckoutFigures:
        """What became of the orders, once every checkout has ended, or nothing has happened for long."""
        records = await ended(self._reader, self.buyers, PATIENCE, lambda _: None)
        written_to = {mail.recipient for mail in read_mails(inbox) if not mail.offer_id}
        return counted(self.buyers.placed, records, written_to)


def counted(placed: Sequence[Placed], records: Records, written_to: Iterable[str]) -> CheckoutFigures:
    """The figures; `written_to` are the addresses to which mails about orders were sent."""
    records = _of_orders({one.order_id for one in placed if one.order_id}, records)
    last = {one.event.order_id: one.event for one in records.events[StockReservationChanged]}
    declined = next((one.order_id for one in placed if one.purchase.buyer == DECLINED_BUYER), None)
    charged = any(one.authorised or one.captured for one in records.charges if one.order == declined)
    released = declined in last and last[declined].outcome == "released"
    ended_orders = {one.event.order_id for one in records.checkouts().values() if one.event.step == "undone"}
    return CheckoutFigures(
        ledger=draw_up(placed, records),
        sold=sum(
            taken.quantity
            for one in last.values()
            if one.outcome == "sold"
            for taken in one.taken
            if taken.sku == CHAIR
        ),
        undone=declined in ended_orders and released and not charged and f"{DECLINED_BUYER}@example.test" in written_to,
        flagged=len({one.event.order_id for one in records.events[PaymentFlagged]}),
    )


@asynccontextmanager
async def checkouts_opened(meshes: dict[str, Mesh], up: Up, key: str) -> AsyncIterator[Checkouts]:
    """The checkouts of a running mesh, in whose regions chairs and lamps are listed and received."""
    async with AsyncExitStack() as stack:
        for at, region in enumerate(meshes):
            gateway, stock = [
                await stack.enter_async_context(connected(up.urls[region][one], key)) for one in ("gateway", "stock")
            ]
            await _list(gateway)
            units = {CHAIR: UNITS // len(meshes) + (at < UNITS % len(meshes)), LAMP: LAMPS}
            for sku in (one for one in units if units[one]):
                command = {"id": f"receive-{sku}", "sku": sku, "warehouse": "w1", "quantity": units[sku]}
                await _sent(stock, "/v1/stock/receive", command)
        orders = {
            region: await stack.enter_async_context(connected(up.urls[region]["orders"], key)) for region in meshes
        }
        yield Checkouts(meshes, up, orders)


def single_buyers(region: str) -> list[Purchase]:
    """One whose card is declined and who is written to, one who looks like a thief, and one who simply buys."""
    email = f"{DECLINED_BUYER}@example.test"
    return [
        Purchase(
            reference="otto", region=region, lines={LAMP: 1}, card="card_declined", buyer=DECLINED_BUYER, email=email
        ),
        Purchase(reference="mallory", region=region, lines={LAMP: 1}, card="card-m", buyer=THIEF, billing_country="NO"),
        Purchase(reference="ines", region=region, lines={LAMP: 2}, card="card-ines", buyer="ines"),
    ]


def chair_buyers(regions: tuple[str, ...]) -> list[Purchase]:
    """One chair for each, in turns in every region."""
    return [
        Purchase(
            reference=f"chair-{number}",
            region=regions[number % len(regions)],
            lines={CHAIR: 1},
            card=f"card-{number}",
            buyer=f"buyer-{number}",
        )
        for number in range(BUYERS)
    ]


def _of_orders(taken: set[str], records: Records) -> Records:
    """The records without the orders that others reported, such as the afternoon's ordinary shoppers."""
    found = Records(charges=records.charges, dead_letters=records.dead_letters)
    for kind, events in records.events.items():
        found.events[kind] = [one for one in events if getattr(one.event, "order_id", None) in (None, *taken)]
    return found


def _plan(regions: tuple[str, ...]) -> Plan:
    return Plan(
        orders=BUYERS,
        skus=len(PRICES),
        seed=1,
        chaos="none",
        regions=regions,
        nodes=1,
        rate=0,
        at_once=BUYERS,
        patience=PATIENCE,
    )


async def _list(gateway: HttpClient) -> None:
    now = datetime.now(UTC).isoformat()
    listed = [
        {"id": uuid4().hex, "type": "product_listed", "time": now, "product_id": one, "price": _dollars(PRICES[one])}
        for one in PRICES
    ]
    await _sent(gateway, "/v1/events", {"events": listed})


def _dollars(amount: int) -> dict[str, object]:
    return {"amount": amount, "currency": "USD"}


async def _sent(client: HttpClient, path: str, body: object) -> None:
    answer = await client.post(path, msgspec.json.encode(body))
    if answer.status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        raise MeshError(f"{path} is refused: {answer.status} {answer.body.decode(errors='replace')[:300]}")
