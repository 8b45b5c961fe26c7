"""The demo's promises and timeline, and the bench's own client."""

import asyncio
import io
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from rich.console import Console

from mesh import Money, Received, settings
from mesh.events.cart import CartLine
from mesh.events.checkout import CheckoutAdvanced
from mesh.events.fraud import FraudCheckRequested
from mesh.events.order import OrderConfirmed
from mesh.events.stock import StockReservationChanged, StockTaken
from services.demo.afternoon.checkouts import (
    CHAIR,
    LAMP,
    CheckoutFigures,
    chair_buyers,
    counted,
    single_buyers,
)
from services.demo.afternoon.promises import latency_line, promises, promises_table
from services.demo.afternoon.timeline import Timeline
from services.demo.bench.http_client import connected
from services.demo.bench.load import carts, introductions, send_all, views
from services.demo.demo_settings import FLAGGED_ABROAD
from services.demo.flash_sale.buyers import Placed, body_of
from services.demo.flash_sale.ledger import draw_up
from services.demo.flash_sale.records import Records
from services.demo.payment_provider.books import Charge
from services.demo.replay.evidence import Evidence
from services.demo.replay.report import report
from services.fraud.memory import Memory
from services.fraud.rules import FraudSettings, Rules, judge, rules_of, score_of
from services.orders.taking import NewOrder, buyer_of

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def ordered(*, sold=3, undone=True, flagged=1, **wrong):
    ledger = draw_up((), Records())
    return CheckoutFigures(ledger=msgspec.structs.replace(ledger, **wrong), sold=sold, undone=undone, flagged=flagged)


def kept(*, personal=(10, 0), checkouts=None, **changed):
    figures = report(Evidence(regions=("us", "eu"), nodes=3))
    figures |= {"events_acked": 100, "carts_abandoned": 3, "decisions": 3, "offers_sent": 3}
    figures["latency_ms"]["due_to_smtp"] = {"p50": 200.0, "p99": 900.0}
    figures["region_cut"] = {
        "region": "eu",
        "seconds": 9.0,
        "orders_during": 3,
        "caught_up_s": 0.7,
        "lost": 0,
        "duplicated": 0,
    }
    for path, value in changed.items():
        outer, _, inner = path.partition("__")
        if inner:
            figures[outer] = figures[outer] | {inner: value}
        else:
            figures[outer] = value
    checkouts = ordered() if checkouts is None else checkouts
    made = promises(figures, personal=personal, last_moment="nothing", troubled="nothing", checkouts=checkouts)
    return {promise.name: promise.kept for promise in made}


def test_kept_promises():
    """Figures as they should be keep every promise."""
    assert kept() == {"P1": True, "P2": True, "P3": True, "P4": True, "P5": True, "P6": True, "P7": True}


@pytest.mark.parametrize(
    ("promise", "changed"),
    [
        ("P1", {"events_lost": 1}),
        ("P2", {"duplicate_sends": 1}),
        ("P2", {"events_doubled": 1}),
        ("P2", {"strange_mails": 1}),
        ("P3", {"wrong_sends": 1}),
        ("P3", {"offers_sent": 0}),
        ("P4", {"checkouts": ordered(oversold=1)}),
        ("P4", {"checkouts": ordered(sold=4)}),
        ("P4", {"checkouts": ordered(sold=0)}),
        ("P5", {"region_cut__caught_up_s": None}),
        ("P5", {"region_cut__caught_up_s": 60.0}),
        ("P5", {"region_cut__orders_during": 0}),
        ("P5", {"region_cut__lost": 1}),
        ("P5", {"region_cut__duplicated": 1}),
        ("P6", {"decisions": 2}),
        ("P6", {"offers_open": 1}),
        ("P6", {"dead_letters": 1}),
        ("P7", {"personal": (10, 1)}),
        ("P7", {"personal": (0, 0)}),
    ],
)
def test_broken_promises(promise, changed):
    """Each figure that is not as it should be breaks its promise, and only that one."""
    found = kept(**changed)

    assert [name for name, held in found.items() if held is False] == [promise]


def test_one_region():
    """Where there is only one region, nothing is said of working alone."""
    assert kept(region_cut__region=None)["P5"] is None


def test_orders_as_they_should_be():
    """Nothing is complained of where every count is 0, the declined payment is undone and a fraud was found."""
    assert ordered().wrong == []
    assert ordered(stuck_sagas=2).wrong == ["of the orders 2 are stuck_sagas"]
    assert len(ordered(undone=False, flagged=0).wrong) == 2


@pytest.mark.parametrize(
    ("lacking", "undone"),
    [(None, True), ("released", False), ("not charged", False), ("ended", False), ("written to", False)],
)
def test_a_declined_payment_is_undone_when_nothing_of_it_is_left(lacking, undone):
    """The checkout has ended, its stock is released, nothing is held or charged, and the buyer was written to."""
    (otto, _, ines), records = single_buyers("us"), Records()
    placed = [Placed(purchase=one, seconds=0.1, attempts=1, order_id=one.reference) for one in (otto, ines)]
    total = Money(amount=3900, currency="USD")

    def add(event):
        at = len(records.events[type(event)]) + 1
        place = {"id": f"e{at}", "time": NOON, "stored": NOON, "region": "us", "sequence": at, "subject": "ev"}
        records.events[type(event)].append(Received(event=event, **place))

    def checkout(order, step, outcome, sku):
        taken = (StockTaken(sku=sku, warehouse="w1", quantity=1),)
        add(CheckoutAdvanced(order_id=order, step=step, total=total, payment_method="c"))
        add(
            StockReservationChanged(
                order_id=order, outcome=outcome, lines=(), taken=taken, answers="r", request_sequence=1
            )
        )

    checkout("ines", "finished", "sold", CHAIR)
    outcome = "reserved" if lacking == "released" else "released"
    checkout("otto", "cancel" if lacking == "ended" else "undone", outcome, LAMP)
    of = {"id": "ch", "reference": "otto", "order": "otto", "region": "us", "currency": "USD", "created": NOON}
    records.charges.append(Charge(**of, authorised=3900 if lacking == "not charged" else 0))

    reported = CartLine(product_id=LAMP, quantity=1, price=total)
    add(OrderConfirmed(order_id="of-somebody-else", lines=(reported,), total=total))

    found = counted(placed, records, () if lacking == "written to" else ("otto@example.test",))

    assert (found.undone, found.sold, found.flagged) == (undone, 1, 0)
    assert found.ledger.confirmed == 0, "what others report is none of these orders"


def test_the_thief_is_flagged_by_the_demos_rules_and_nobody_else(monkeypatch):
    """Its bill goes to another country; that all orders of the demo go to one address is not enough."""
    for name, value in FLAGGED_ABROAD.items():
        monkeypatch.setenv(name, value)
    memory, rules, flagged = Memory(), Rules(rules_of(settings.read(FraudSettings))), []
    orders = (*single_buyers("us"), *chair_buyers(("us",)))
    for at, order in enumerate(orders):
        sent = msgspec.convert(msgspec.json.decode(body_of(order)), NewOrder)
        asked = FraudCheckRequested(
            order_id=order.reference,
            amount=Money(amount=3900, currency="USD"),
            card=sent.payment_method,
            device=sent.visitor_id,
            **msgspec.structs.asdict(buyer_of(sent)),
        )
        memory.add(asked, NOON + timedelta(seconds=at))
        if score_of(judge(asked, NOON + timedelta(seconds=at), memory, rules)) >= rules.written.flag_at:
            flagged.append(order.reference)

    assert flagged == ["mallory"]


@pytest.mark.parametrize(
    ("p99", "said"), [(1500.0, ": within the second"), (1501.0, "not within"), (None, "not within")]
)
def test_the_second(p99, said):
    """How soon offers went out is printed with the machine's load, whatever it was."""
    figures = report(Evidence(regions=("us",), nodes=1))
    figures["latency_ms"]["due_to_smtp"] = {"p50": 200.0, "p99": p99}

    assert said in latency_line(figures)
    assert "load" in latency_line(figures)


def test_lines_without_a_terminal():
    """Without a terminal the timeline is plain lines, and the table is printed as one."""
    said = io.StringIO()
    console = Console(file=said, width=100)

    with Timeline(console, ("us", "eu")) as timeline:
        timeline.add("lena buys", region="us")
        timeline.count("us", "orders")
    figures = report(Evidence(regions=("us",), nodes=1))
    console.print(promises_table(promises(figures, personal=(0, 0), last_moment="", troubled="", checkouts=None)))

    assert "0.0 s  us  lena buys\n" in said.getvalue()
    assert "\x1b" not in said.getvalue()
    assert "BROKEN" in said.getvalue()


@pytest.fixture
async def server():
    """A server that answers with what it was set to, and remembers what it was sent."""
    received, answers = [], []

    async def serve(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            received.append((head.split(b"\r\n")[0], await reader.readexactly(length)))
            status, body = answers.pop(0) if answers else (202, b'{"accepted": 10, "rejected": []}')
            writer.write(b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    async def quietly(reader, writer):
        try:
            await serve(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    listening = await asyncio.start_server(quietly, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", received, answers
    listening.close()


async def test_a_flood(server):
    """A flood sends every event once in batches over kept connections, and counts what was accepted."""
    url, received, _ = server

    async with connected(url, "demo") as wire:
        found = await send_all(wire, views(100), batch=10, at_once=3)

    assert (found.events, found.busy, len(received)) == (100, 0, 10)
    assert {line for line, _ in received} == {b"POST /v1/events HTTP/1.1"}


async def test_a_busy_gateway(server):
    """A busy answer is counted and the batch sent again."""
    url, received, answers = server
    answers.append((503, b"later"))

    async with connected(url, "demo") as wire:
        found = await send_all(wire, carts(10), at_once=1)

    assert (found.events, found.busy) == (10, 1)
    assert received[0] == received[1]


@pytest.mark.parametrize("answer", [(401, b"no such key"), (202, b'{"accepted": 9, "rejected": [{"index": 0}]}')])
async def test_a_refusal_ends_the_flood(server, answer):
    """What is refused is no measurement: the flood says so and ends."""
    url, _, answers = server
    answers.append(answer)

    async with connected(url, "demo") as wire:
        with pytest.raises(RuntimeError, match=r"no such key|rejected"):
            await send_all(wire, introductions(5, run="r"), at_once=1)
