"""What the board folds: the same picture whatever the order and however often events are received."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import Mesh, Received
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartAbandoned, CartLine, CartRecovered, CartUpdated
from mesh.events.mesh import ConsumerLag, EventCount, MeshMeasured, ViewsSimulated
from mesh.events.offer import Check, OfferDecided, OfferDeferred, OfferFailed, OfferSent, OfferWithdrawn
from mesh.events.user import Recommendation
from mesh.money import Money
from services.operations.board.board import Board
from services.operations.board.latest_by_key import LatestByKey

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
REGIONS = ("us", "eu")
EURO = Money(amount=100, currency="EUR")


def board():
    return Board(Mesh(MemoryMesh(*REGIONS).broker("us"), "board", others=("eu",), zones={"eu": "Europe/Berlin"}))


def received(event, ago, *, id="e", region="us", early=0.0):
    """An event that happened `ago` seconds before now, by a clock that is `early` seconds ahead."""
    happened = NOW - timedelta(seconds=ago)
    return Received(
        event=event,
        id=id,
        time=happened + timedelta(seconds=early),
        stored=happened,
        region=region,
        sequence=1,
        subject="",
    )


def cart(key="c1", *, amount=100, currency="EUR", lines=1):
    line = CartLine(product_id="p1", quantity=2, price=Money(amount=amount, currency=currency), name="Tea tin")
    return CartUpdated(cart_id=key, visitor_id="v", lines=(line,) * lines)


def left(key="c1", total=EURO):
    return CartAbandoned(cart_id=key, visitor_id="v", lines=(), total=total, left_at=NOW, due=NOW)


def decided(offer="o1", *, outcome="approved", attempt=1, total=EURO, **more):
    return OfferDecided(
        cart_id="c1",
        visitor_id="v",
        offer_id=offer,
        abandonment_id="a",
        attempt=attempt,
        outcome=outcome,
        reason="" if outcome == "approved" else "quiet hours",
        checks=(Check(name="consent", passed=True, value="email: granted"),),
        journey="abandoned-cart",
        due=NOW,
        total=total,
        **more,
    )


def sent(offer="o1", channel="email"):
    return OfferSent(cart_id="c1", visitor_id="v", offer_id=offer, channel=channel)


def measured(
    ago=0.0, region="us", *, total=0, last_hour=0, pending=0, staleness=None, event_counts=None, nodes=3, at=None
):
    flow = EventCount(type="interaction.product_viewed", total=total, last_hour=last_hour)
    lag = ConsumerLag(stream="COMMERCE_us", durable="carts-show", pending=pending, ack_pending=0, redelivered=0)
    return received(
        MeshMeasured(
            region=region,
            at=at or NOW - timedelta(seconds=ago),
            nodes=nodes,
            nodes_up=nodes,
            event_counts=(flow,) if event_counts is None else event_counts,
            consumers=(lag,),
            staleness=staleness or {},
            dead_letters=0,
        ),
        ago,
    )


def seen(*events, at=NOW):
    shown = board()
    for event in events:
        shown.add(event)
    return shown.state(at)


def stages(picture):
    return {one.stage: (one.count, {m.currency: m.amount for m in one.money}) for one in picture.funnel}


# Whatever the order

OFFERS, CARTS = st.sampled_from(["o1", "o2", "o3"]), st.sampled_from(["c1", "c2", "c3"])
CHANNELS = st.sampled_from(["email", "onsite"])
AMOUNTS = st.integers(1, 1000)
CURRENCIES = st.sampled_from(["EUR", "JPY"])
MONEY = st.builds(Money, amount=AMOUNTS, currency=CURRENCIES)
EVENTS = st.one_of(
    st.builds(cart, CARTS, amount=AMOUNTS, currency=CURRENCIES, lines=st.integers(0, 2)),
    st.builds(left, CARTS, MONEY),
    st.builds(decided, OFFERS, outcome=st.sampled_from(["approved", "held", "dropped"]), total=st.none() | MONEY),
    st.builds(sent, OFFERS, CHANNELS),
    st.builds(
        OfferDeferred,
        cart_id=CARTS,
        offer_id=OFFERS,
        channel=CHANNELS,
        attempt=st.integers(1, 3),
        reason=st.just("451"),
        until=st.just(NOW),
    ),
    st.builds(OfferFailed, cart_id=CARTS, offer_id=OFFERS, channel=CHANNELS, reason=st.just("550")),
    st.builds(OfferWithdrawn, cart_id=CARTS, offer_id=OFFERS, channel=CHANNELS, reason=st.just("bought")),
    st.builds(
        CartRecovered, cart_id=CARTS, visitor_id=st.just("v"), order_id=st.just("o"), offer_id=OFFERS, value=MONEY
    ),
)
AGOS = st.integers(0, 4000)


@st.composite
def histories(draw):
    """Events with ids of their own, and measurements of both regions."""
    entries = draw(st.lists(st.tuples(EVENTS, AGOS), max_size=25))
    events = [received(event, ago, id=f"e{at}") for at, (event, ago) in enumerate(entries)]
    beats = draw(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(REGIONS), st.integers(0, 50)), max_size=12))
    unique = {(ago, region): total for ago, region, total in beats}
    return events + [
        measured(ago / 2, region, total=total, last_hour=total, pending=total)
        for (ago, region), total in unique.items()
    ]


@given(st.data())
def test_the_picture_is_the_same_in_any_order_and_with_duplicates(data):
    """Late, doubled and mixed up events make the same picture and the same past, looked at in between or not."""
    history = data.draw(histories())
    again = data.draw(
        st.permutations(history + data.draw(st.lists(st.sampled_from(history)) if history else st.just([])))
    )

    shown, mixed = board(), board()
    for event in history:
        shown.add(event)
    for event in again:
        mixed.add(event)
        mixed.state(NOW)

    assert mixed.state(NOW) == shown.state(NOW)
    assert mixed.past(NOW) == shown.past(NOW)


@given(histories())
def test_the_funnel_is_what_a_plain_count_gives(history):
    """Sums that are kept by adding and taking away are those of adding everything up."""
    within = [one for one in history if one.time > NOW - timedelta(hours=1)]
    carts, totals = {}, {}
    for one in sorted(history, key=lambda one: (one.time, one.id)):
        if isinstance(one.event, CartUpdated) and one.event.lines and one in within:
            carts[one.event.cart_id] = [line.price * line.quantity for line in one.event.lines]
        if isinstance(one.event, OfferDecided) and one.event.total:
            totals[one.event.offer_id] = [one.event.total]

    def sums(found):
        counted = Counter()
        for money in (amount for amounts in found for amount in amounts):
            counted[money.currency] += money.amount
        return len(found), dict(counted)

    offers = {one.event.offer_id for one in within if isinstance(one.event, OfferSent)}
    expected = {
        "carted": sums(list(carts.values())),
        "left": sums([[one.event.total] for one in within if isinstance(one.event, CartAbandoned)]),
        "offered": sums([totals.get(offer, []) for offer in offers]),
        "recovered": sums([[one.event.value] for one in within if isinstance(one.event, CartRecovered)]),
    }

    shown = stages(seen(*history))

    assert {name: shown[name] for name in expected} == expected


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 20)), max_size=40), st.integers(1, 4), st.data())
def test_only_the_newest_keys_are_kept_whatever_the_order(entries, most, data):
    """What is dropped for want of room is always the oldest, and every value that entered leaves once."""
    entries = [(key, at, f"{number}") for number, (key, at) in enumerate(entries)]

    def kept(order):
        inside = Counter()
        newest = LatestByKey(100.0, most, entered=lambda v: inside.update([v]), left=lambda v: inside.subtract([v]))
        for key, at, id_ in order:
            newest.add(key, float(at), id_, id_)
        assert sorted(+inside) == sorted(value for _, _, value in newest.latest())
        return newest.latest()

    ranked = {}
    for key, at, id_ in entries:
        ranked[key] = max(ranked.get(key, (0.0, "")), (float(at), id_))
    expected = sorted(ranked.items(), key=lambda one: one[1], reverse=True)[:most]

    assert [(key, rank) for key, rank, _ in kept(data.draw(st.permutations(entries)))] == expected


# The funnel


def test_a_cart_is_counted_once_with_its_newest_money():
    """Updates of one cart are one cart, worth what the newest one with lines in it says."""
    picture = seen(
        received(cart(amount=100), 60), received(cart(amount=300), 30, id="f"), received(cart(lines=0), 5, id="g")
    )

    assert stages(picture)["carted"] == (1, {"EUR": 600})


def test_what_is_older_than_an_hour_goes():
    """Every step slides: what happened more than sixty minutes ago is no longer counted, nor remembered."""
    shown = board()
    for event in (cart(), left(), sent(), decided()):
        shown.add(received(event, 10, id=type(event).__name__))

    before, after = shown.state(NOW), shown.state(NOW + timedelta(minutes=60))

    assert [one.count for one in before.funnel] == [0, 1, 1, 1, 0]
    assert [one.count for one in after.funnel] == [0, 0, 0, 0, 0]
    assert (len(before.offers), len(after.offers)) == (1, 0)


def test_an_offer_on_two_channels_is_one_with_its_carts_total():
    """Offered counts offers; the money is the total they were decided for."""
    picture = seen(
        received(sent(channel="email"), 1), received(sent(channel="onsite"), 1, id="f"), received(decided(), 2)
    )

    assert stages(picture)["offered"] == (1, {"EUR": 100})


def test_an_offer_that_was_long_on_its_way_has_its_money():
    """A decision of before the window still says what its offer stands for."""
    picture = seen(received(decided(), 90 * 60), received(sent(), 1, id="f"))

    assert stages(picture)["offered"] == (1, {"EUR": 100})
    assert picture.offers == ()


def test_views_are_those_that_all_regions_measured():
    """Views travel to no other region; their number of the last hour does."""
    picture = seen(measured(last_hour=7), measured(region="eu", last_hour=5), measured(1, last_hour=99))

    assert stages(picture)["viewed"] == (12, {})


def test_views_that_a_demo_made_up_do_not_stand_beside_real_carts():
    """What was simulated within the hour is taken off, once, and shown as such."""
    simulated = received(ViewsSimulated(region="eu", views=9, at=NOW), 60, id="s1")
    before = received(ViewsSimulated(region="us", views=100, at=NOW), 3700, id="s2")

    picture = seen(measured(last_hour=5), measured(region="eu", last_hour=7), simulated, simulated, before)

    assert stages(picture)["viewed"] == (3, {})
    assert picture.simulated == 9


def test_purchase_markers_are_no_orders():
    """A purchase is marked once for each name of its buyer; the rate of the domain counts orders."""
    before, after = (
        (
            EventCount(type="order.placed", total=n, last_hour=n),
            EventCount(type="order.purchase_marked", total=5 * n, last_hour=5),
        )
        for n in (1, 3)
    )

    picture = seen(measured(2, event_counts=before), measured(0, event_counts=after))

    assert picture.regions[0].rates == {"order": 1.0}


def test_an_average_is_not_shown_as_this_shoppers_likelihood():
    """Without a model the propensity is the shop's base rate, and is called so."""
    scored = {"base-rate": True, "v7": False, None: False}
    pictures = [seen(received(decided(model_version=version, propensity=0.78), 1)) for version in scored]

    assert [picture.offers[0].is_base_rate for picture in pictures] == [*scored.values()]


def test_a_clock_that_runs_ahead_is_not_believed():
    """An event that says it happens tomorrow counts as of when it was stored."""
    shown = board()
    shown.add(received(cart(), 10, early=86_400))

    assert stages(shown.state(NOW))["carted"][0] == 1
    assert stages(shown.state(NOW + timedelta(hours=1)))["carted"][0] == 0


# Offers


def test_an_offer_shows_its_checks_and_what_became_of_it():
    """A decision comes with its reasons; what happened to it follows in the order in which it did."""
    recovered = CartRecovered(cart_id="c1", visitor_id="v", order_id="77", offer_id="o1", value=EURO)
    lines = cart().lines
    recommended = (Recommendation(product_id="p9", reason="popular"),)
    picture = seen(
        received(recovered, 1, id="d"),
        received(sent(channel="onsite"), 8, id="c"),
        received(sent(), 9, id="b", region="eu"),
        received(decided(lines=lines, recommended=recommended, propensity=0.25), 10, region="eu"),
    )

    [offer] = picture.offers
    assert (offer.id, offer.region, offer.outcome, offer.propensity) == ("o1", "eu", "approved", 0.25)
    assert offer.checks[0].name == "consent"
    assert offer.lines == ("2 x Tea tin",)
    assert (offer.recommended[0].name, offer.recommended[0].reason) == ("p9", "popular")
    assert [(event.kind, event.channel, event.detail) for event in offer.events] == [
        ("sent", "email", "the mail server took it"),
        ("shown", "onsite", "on the site"),
        ("recovered", None, "order 77: 1.00 EUR"),
    ]


def test_a_held_offer_is_shown_as_it_was_last_decided():
    """Judged again an offer keeps its place, and shows the newer decision."""
    picture = seen(
        received(decided(outcome="approved", attempt=2), 10, id="f"),
        received(decided(outcome="held", held_until=NOW), 600),
        received(decided("o2", outcome="dropped"), 300, id="g"),
    )

    assert [(one.id, one.outcome) for one in picture.offers] == [("o1", "approved"), ("o2", "dropped")]


def test_no_more_than_forty_offers_are_shown():
    """The newest forty, newest first."""
    picture = seen(*(received(decided(f"o{at}"), at, id=f"e{at}") for at in range(100)))

    assert [one.id for one in picture.offers] == [f"o{at}" for at in range(40)]


# Rates


def rates(*beats):
    return seen(*beats).regions[0].rates


def test_a_rate_is_the_growth_of_a_total():
    """Events per second, over the last two seconds."""
    beats = [measured(ago / 2, total=1000 - 10 * ago) for ago in range(20)]

    assert rates(*beats) == {"interaction": 20.0}


def test_a_total_that_begins_anew_is_no_growth_and_no_fall():
    """A count that is begun again lower adds nothing once, and what it grows by from then on."""
    assert rates(measured(2, total=5000), measured(1, total=3), measured(0, total=7)) == {"interaction": 2.0}


def test_a_first_total_is_no_growth():
    """What was counted before the first measurement happened some time or other."""
    assert rates(measured(2, event_counts=()), measured(1, total=5000), measured(0, total=5010)) == {"interaction": 5.0}


def test_a_measurement_without_totals_hides_no_growth():
    """When the streams did not answer in time, the next answer is compared with the last one."""
    assert rates(measured(2, total=100), measured(1, event_counts=()), measured(0, total=120)) == {"interaction": 10.0}


def test_a_silent_region_has_no_rates():
    """Old figures are not called the present."""
    picture = seen(measured(6, total=1), measured(5, total=11, nodes=1))

    assert picture.regions[0].rates == {}
    assert (picture.regions[0].measured_ago, picture.regions[0].nodes) == (5.0, 1)


def test_the_past_has_a_figure_for_each_second_and_none_where_nothing_was_measured():
    """Ten minutes in steps of a second, oldest first."""
    shown = board()
    for ago in range(10):
        shown.add(measured(ago + 100, total=1000 - 3 * ago, pending=4))

    past = shown.past(NOW)

    assert (past.step, len(past.at), past.at[-1]) == (1.0, 600, int(NOW.timestamp()))
    assert past.rates["us"]["interaction"][-105:-96] == (3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, None)
    assert past.pending["us"][-105:-96] == (4,) * 8 + (None,)
    assert past.pending["eu"] == (None,) * 600


# Regions and links


def links(*events):
    return {(one.reader, one.reported): one.staleness for one in seen(*events).links}


def test_a_region_that_never_reported_is_shown_as_unknown():
    """It has its name and its time zone, and words that nothing else is known."""
    picture = seen(measured())

    assert [(one.name, one.time_zone, one.measured_ago) for one in picture.regions] == [
        ("us", "UTC", 0.0),
        ("eu", "Europe/Berlin", None),
    ]
    assert picture.unknown == ("eu has not reported yet",)


def test_a_silent_region_is_seen_as_such_within_seconds():
    """Its figures are called old, and what it would say of others is not known here."""
    picture = seen(measured(), measured(4, region="eu", staleness={"us": 0.2}))

    assert picture.unknown == ("eu has not reported for 4 s: its figures are of 11:59:56 UTC",)
    assert {(one.reader, one.reported): one.staleness for one in picture.links} == {
        ("us", "eu"): 4.0,
        ("eu", "us"): None,
    }


@pytest.mark.parametrize(("beat", "measurement", "newest"), [(0.5, 9.0, 1.5), (9.0, 0.25, 0.25)])
def test_the_newest_word_counts(beat, measurement, newest):
    """Heartbeats and measurements are both words of a region: whichever is newer says how stale it is."""
    shown = links(measured(1, staleness={"eu": beat}), measured(measurement, region="eu"))

    assert shown["us", "eu"] == newest


def test_what_is_not_measured_is_said():
    """Streams that do not answer make a region's figures unknown, not zero."""
    picture = seen(measured(), measured(region="eu", event_counts=()))

    assert picture.unknown == ("eu cannot count its events",)
