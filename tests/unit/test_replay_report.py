"""The report on small ledgers made by hand, with every kind of wrong planted in them."""

from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl
import pytest

from mesh import Money, Received
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartLine, CartRecovered, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.offer import OfferDecided, OfferSent, OfferWithdrawn
from mesh.events.order import OrderPlaced
from mesh.events.user import UserScored
from services.demo.replay import ledger
from services.demo.replay.evidence import Cut, Evidence, Mail, Sent
from services.demo.replay.offers import abandonments
from services.demo.replay.report import broken, percentiles, report
from services.demo.replay.settle import unfinished

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LINE = CartLine(product_id="p1", quantity=1, price=Money(amount=1000, currency="USD"))
TOTAL = Money(amount=1000, currency="USD")


def at(seconds):
    return NOON + timedelta(seconds=seconds)


class EventStream:
    """A region's stream: events are added one after the other."""

    def __init__(self, region="us"):
        self.region, self.stored = region, []

    def add(self, seconds, event, id=None):
        self.stored.append(
            Received(
                event=event,
                id=id or f"{self.region}{len(self.stored)}",
                time=at(seconds),
                stored=at(seconds),
                region=self.region,
                sequence=len(self.stored) + 1,
                subject="",
            )
        )
        return self.stored[-1]

    def cart(self, seconds, cart="c1", visitor="v1", id=None):
        self.add(seconds, CartUpdated(cart_id=cart, visitor_id=visitor, lines=(LINE,)), id)

    def abandoned(self, seconds, cart="c1", visitor="v1", customer=None):
        event = CartAbandoned(
            cart_id=cart,
            visitor_id=visitor,
            customer_id=customer,
            lines=(LINE,),
            total=TOTAL,
            left_at=at(seconds - 9),
            due=at(seconds),
        )
        self.add(seconds, event, id=f"{cart}-left-{seconds}")
        return f"{cart}-left-{seconds}"

    def decided(
        self,
        seconds,
        abandonment,
        outcome="approved",
        cart="c1",
        *,
        offer="o1",
        attempt=1,
        journey="abandoned-cart",
        channels=("email",),
    ):
        event = OfferDecided(
            cart_id=cart,
            visitor_id="v1",
            offer_id=offer,
            abandonment_id=abandonment,
            attempt=attempt,
            outcome=outcome,
            reason="" if outcome == "approved" else "holdout",
            checks=(),
            journey=journey,
            due=at(seconds),
            channels=channels if outcome == "approved" else (),
        )
        self.add(seconds, event)

    def sent(self, seconds, cart="c1", offer="o1"):
        self.add(seconds, OfferSent(cart_id=cart, visitor_id="v1", offer_id=offer, channel="email"))

    def order(self, seconds, cart=None, visitor="v1", customer=None, order="k1"):
        event = OrderPlaced(
            order_id=order, visitor_id=visitor, customer_id=customer, lines=(LINE,), total=TOTAL, cart_id=cart
        )
        return self.add(seconds, event)


def mail(seconds, offer="o1"):
    return Mail(offer_id=offer, recipient="v1@example.test", accepted_at=at(seconds))


def accepted(id, region="us"):
    return Sent(id=id, type="cart_updated", region=region, visitor_id="v1", sent_at=NOON, answer="accepted")


def evidence_of(*streams, **more):
    regions = tuple(one.region for one in streams)
    stored = [one for stream in streams for one in stream.stored]
    crossing = [one for one in stored if not isinstance(one.event, UserScored)]
    copies = {region: [one for one in crossing if one.region != region] for region in regions}
    return Evidence(regions=regions, nodes=3, stored=stored, **({"copies": copies} | more))


@pytest.fixture
def stream():
    """A cart that was left, decided and sent in order."""
    made = EventStream()
    made.cart(0, id="0a1b2c3d-e1")
    made.decided(9.2, made.abandoned(9))
    made.sent(9.4)
    return made


def test_all_is_well(stream):
    """A cart that is left and gets its offer is counted once everywhere, and breaks nothing."""
    figures = report(evidence_of(stream, sent=[accepted("e1")], mails=[mail(9.3)]))

    counted = ("events_published", "events_acked", "carts_abandoned", "decisions", "offers_sent")
    assert [figures[name] for name in counted] == [1, 1, 1, 1, 1]
    assert figures["latency_ms"]["due_to_smtp"] == {"p50": 300.0, "p99": 300.0}
    assert broken(figures) == []
    assert unfinished(evidence_of(stream, sent=[accepted("e1")], mails=[mail(9.3)]), timers=0) == ""


def test_a_lost_event(stream):
    """An id that was acknowledged and stands in no stream is lost; one that was never acknowledged is not."""
    unanswered = msgspec.structs.replace(accepted("e3"), answer="unanswered")

    figures = report(evidence_of(stream, sent=[accepted("e1"), accepted("e2"), unanswered], mails=[mail(9.3)]))

    assert (figures["events_published"], figures["events_acked"], figures["events_lost"]) == (3, 2, 1)
    assert broken(figures) == ["1 acknowledged events were lost"]


def test_an_event_of_another_region(stream):
    """An event that stands in another region than it was sent to counts as lost."""
    figures = report(evidence_of(stream, EventStream("eu"), sent=[accepted("e1", region="eu")], mails=[mail(9.3)]))

    assert figures["events_lost"] == 1


def test_a_doubled_event(stream):
    """The same id twice in a region's own streams is counted as doubled."""
    stream.cart(20, id="0a1b2c3d-e1")

    figures = report(evidence_of(stream, sent=[accepted("e1")], mails=[mail(9.3)]))

    assert figures["events_doubled"] == 1


@pytest.mark.parametrize(
    "purchase",
    [
        CartConverted(cart_id="c1", order_id="k1", visitor_id="v1"),
        CartClosed(cart_id="c1", visitor_id="v1", order_id="k1", region="eu"),
        OrderPlaced(order_id="k1", visitor_id="v1", lines=(LINE,), total=TOTAL),
        OrderPlaced(order_id="k1", visitor_id="other", customer_id="ada", lines=(LINE,), total=TOTAL),
    ],
    ids=["converted", "closed", "same visitor", "same customer"],
)
def test_a_wrong_send(purchase):
    """A mail whose decision stands behind a purchase of the cart, its visitor or its customer is wrong."""
    stream = EventStream()
    stream.cart(0)
    abandonment = stream.abandoned(9, customer="ada")
    stream.add(9.1, purchase)
    stream.decided(9.2, abandonment)
    stream.sent(9.4)

    figures = report(evidence_of(stream, mails=[mail(9.3)]))

    assert figures["wrong_sends"] == 1
    assert "1 offers were sent after a purchase" in broken(figures)


def test_wrong_only_by_sequence():
    """Within a region the sequence decides, not the clock: a purchase of the same moment but before is seen."""
    stream = EventStream()
    stream.cart(0)
    abandonment = stream.abandoned(9)
    stream.add(9.2, CartConverted(cart_id="c1", order_id="k1", visitor_id="v1"))
    stream.decided(9.2, abandonment)

    assert report(evidence_of(stream, mails=[mail(9.3)]))["wrong_sends"] == 1


def test_a_dropped_offer_is_not_wrong():
    """A purchase before a decision that drops the offer is as it should be."""
    stream = EventStream()
    stream.cart(0)
    abandonment = stream.abandoned(9)
    stream.order(9.1)
    stream.decided(9.2, abandonment, outcome="dropped")

    figures = report(evidence_of(stream))

    assert (figures["wrong_sends"], figures["offers_dropped"], figures["decisions"]) == (0, 1, 1)


def test_an_earlier_purchase(stream):
    """A purchase before the cart was filled has nothing to do with it."""
    earlier = EventStream()
    earlier.order(0)
    for one in stream.stored:
        earlier.add((one.stored - NOON).total_seconds() + 1, one.event, one.id)

    assert report(evidence_of(earlier, mails=[mail(10.3)]))["wrong_sends"] == 0


def test_a_late_purchase(stream):
    """A purchase behind the decision but before the mail is late, not wrong; with the mail before, it is neither."""
    stream.order(9.45)

    assert report(evidence_of(stream, mails=[mail(9.5)]))["late_sends"] == 1
    assert report(evidence_of(stream, mails=[mail(9.3)]))["late_sends"] == 0
    assert report(evidence_of(stream, mails=[mail(9.5)]))["wrong_sends"] == 0


def test_a_purchase_in_another_region(stream):
    """Another region's order makes a send wrong only if it had arrived in the deciding region before."""
    personal_copies = EventStream("eu")
    order = personal_copies.order(9.0)
    for seconds, wrong in ((9.1, 1), (9.25, 0)):
        arrived = msgspec.structs.replace(order, stored=at(seconds))

        evidence = evidence_of(stream, personal_copies, mails=[mail(9.3)], copies={"us": [arrived], "eu": []})

        assert report(evidence)["wrong_sends"] == wrong


def test_a_duplicate_send(stream):
    """Two mails for one offer are one too many, by the mail server's own record."""
    figures = report(evidence_of(stream, mails=[mail(9.3), mail(9.6)]))

    assert (figures["offers_sent"], figures["duplicate_sends"]) == (1, 1)
    assert broken(figures) == ["1 offers were sent twice"]


def test_a_mail_that_nobody_decided(stream):
    """A mail for an offer that no stream knows is reported."""
    assert report(evidence_of(stream, mails=[mail(9.3), mail(9.3, "o7")]))["strange_mails"] == 1


def test_services_are_not_believed():
    """An OfferSent without the mail server's record is not counted as sent."""
    stream = EventStream()
    stream.cart(0)
    stream.decided(9.2, stream.abandoned(9))
    stream.sent(9.4)

    figures = report(evidence_of(stream))

    assert (figures["offers_sent"], figures["offers_shown"]) == (0, 1)


def test_every_fate():
    """Every abandonment has exactly one outcome, also where no mail went out and where a card waits for a page."""
    stream = EventStream()
    stream.abandoned(1, "c1")
    stream.decided(3, stream.abandoned(2, "c2"), "held", "c2", offer="o2")
    stream.decided(5, stream.abandoned(4, "c3"), "dropped", "c3", offer="o3")
    stream.decided(7, stream.abandoned(6, "c4"), "approved", "c4", offer="o4")
    stream.add(8, OfferWithdrawn(cart_id="c4", offer_id="o4", channel="email", reason="bought"))
    stream.decided(10, stream.abandoned(9, "c5"), "approved", "c5", offer="o5")
    stream.decided(12, stream.abandoned(11, "c6"), "approved", "c6", offer="o6", channels=("onsite",))

    found = abandonments(evidence_of(stream))

    fates = ["undecided", "held", "dropped", "withdrawn", "open", "unseen"]
    assert [abandonment.outcome for abandonment in found] == fates
    assert [abandonment.settled for abandonment in found] == [False, True, True, True, False, True]
    assert report(evidence_of(stream))["offers_unseen"] == 1
    left = "1 timers to fire, 1 abandoned carts without a decision, 1 offers without an outcome"
    assert unfinished(evidence_of(stream), timers=1) == left


def test_a_held_offer_has_no_latency(stream):
    """An offer that was held and sent later says nothing about the time from due to sent."""
    held = EventStream()
    held.cart(0)
    abandonment = held.abandoned(9)
    held.decided(9.2, abandonment, "held")
    held.decided(600, abandonment, "approved", attempt=2)

    figures = report(evidence_of(held, mails=[mail(600.2)]))

    assert (figures["offers_sent"], figures["offers_held"]) == (1, 0)
    assert figures["latency_ms"]["due_to_smtp"] == {"p50": None, "p99": None}


def test_copies():
    """An event that another region has no copy of is lost, with two copies duplicated; personal ones never count."""
    us, eu = EventStream("us"), EventStream("eu")
    us.add(0, CustomerIdentified(visitor_id="v1", email="v1@example.test"))
    us.cart(1)
    first = us.stored[-1]
    us.cart(2)
    copies = {"us": [], "eu": [msgspec.structs.replace(first, stored=at(1.05))] * 2}

    figures = report(evidence_of(us, eu, copies=copies))

    assert (figures["region_cut"]["lost"], figures["region_cut"]["duplicated"]) == (1, 1)
    assert figures["latency_ms"]["cross_region"] == {"p50": 50.0, "p99": 50.0}


def test_a_cut_region():
    """Orders during the cut, its length and the time until all had caught up are counted; its delays are no latency."""
    us, eu = EventStream("us"), EventStream("eu")
    for seconds in (5, 15, 25, 45):
        us.order(seconds, order=f"k{seconds}")
    arrived = [
        msgspec.structs.replace(one, stored=max(one.stored + timedelta(milliseconds=20), at(31))) for one in us.stored
    ]
    arrived[3] = msgspec.structs.replace(arrived[3], stored=at(45.02))
    arrived[0] = msgspec.structs.replace(arrived[0], stored=at(5.02))
    cut = Cut(region="us", began=at(10), healed=at(30), caught_up=at(31.5))

    figures = report(evidence_of(us, eu, copies={"us": [], "eu": arrived}, cut=cut))

    assert figures["region_cut"] == {
        "region": "us",
        "seconds": 20.0,
        "orders_during": 2,
        "caught_up_s": 1.5,
        "lost": 0,
        "duplicated": 0,
    }
    assert figures["latency_ms"]["cross_region"] == {"p50": 20.0, "p99": 20.0}


def test_scores_and_recoveries(stream):
    """A score's delay runs from the newest event that it saw; a recovered cart is counted."""
    stream.add(
        0.15,
        UserScored(visitor_id="v1", propensity=0.2, model_version="m", reasons=(), last_event_id="0a1b2c3d-e1"),
    )
    stream.add(30, CartRecovered(cart_id="c1", visitor_id="v1", order_id="k1", offer_id="o1", value=TOTAL))

    figures = report(evidence_of(stream, mails=[mail(9.3)]))

    assert figures["latency_ms"]["event_to_score"] == {"p50": 150.0, "p99": 150.0}
    assert figures["recovered"] == 1


def test_percentiles():
    """Percentiles are by nearest rank, and absent where nothing was measured."""
    assert percentiles(timedelta(milliseconds=ms) for ms in range(1, 101)) == {"p50": 50.0, "p99": 99.0}
    assert percentiles([]) == {"p50": None, "p99": None}


def test_the_ledger(stream, tmp_path):
    """The ledger has a row for every event and every offer with its outcome."""
    refused = msgspec.structs.replace(accepted("e3"), answer="rejected", reason="$.lines: wrong")
    sent = [accepted("e1"), accepted("e2"), refused]
    path = tmp_path / "ledger.parquet"

    count = ledger.write(evidence_of(stream, sent=sent, mails=[mail(9.3), mail(9.4)]), path)

    frame = pl.read_parquet(path)
    assert count == 4
    assert frame["outcome"].to_list() == ["stored", "lost", "rejected", "duplicate"]
    assert frame["stream"].to_list() == ["COMMERCE_us", None, None, None]
    assert frame["due_to_smtp_ms"].to_list()[-1] == 300.0


def test_two_journeys_of_one_cart_are_two_runs_of_one_abandonment(stream):
    """One cart, decided; the mails of both are counted."""
    (abandonment,) = {one.id for one in stream.stored if isinstance(one.event, CartAbandoned)}
    stream.decided(12, abandonment, offer="o2", journey="second")
    stream.sent(13, offer="o2")

    figures = report(evidence_of(stream, mails=[mail(11), mail(13, "o2")]))

    assert (figures["carts_abandoned"], figures["decisions"], figures["undecided"]) == (1, 1, 0)
    assert figures["offers_sent"] == 2
