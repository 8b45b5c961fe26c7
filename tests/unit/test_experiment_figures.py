"""Who takes part in an experiment and what they bought: exact whatever the order of events, and what a result says."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import Mesh, Money, Received
from mesh.broker.memory import MemoryMesh
from mesh.events.offer import Assignment
from mesh.events.order import OrderConfirmed, OrderPlaced
from notifications.exact_sums import total
from notifications.experiments.participant import BEFORE, MOST_AMOUNT, fold, outcomes
from notifications.studio.experiment_pages import words
from notifications.studio.experiment_pages.chart import chart
from notifications.studio.experiment_pages.figures import EXPERIMENT_DAYS, PARTICIPANTS, EffectsWriter, read_days
from notifications.studio.experiment_pages.result import result, results
from notifications.studio.experiment_pages.variants import variants_of
from tests.approved_offer import approved_offer

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


def stored(event, at, number=1, region="us"):
    """An event as it is delivered."""
    return Received(event=event, id=f"e{number}", time=at, stored=at, region=region, sequence=number, subject="s")


def decided(visitor, *, arm="10", withheld=0.1, eligible=True, journey="abandoned-cart"):
    """A decision that gave an arm by chance."""
    given_arm = Assignment(arm=arm, probability=0.9, eligible=eligible, withheld=withheld)
    return approved_offer(
        1, visitor_id=visitor, journey=journey, assignment=given_arm, coupon=f"SAVE{arm}", discount_percent=10
    )


def placed(visitor, order, amount=4000, currency="EUR", by="page", coupon=None):
    """An order as somebody reported it."""
    total = Money(amount=amount, currency=currency)
    return OrderPlaced(order_id=order, visitor_id=visitor, lines=(), total=total, by=by, coupon=coupon)


def confirmed(visitor, order, amount=4000):
    """An order that the shop confirmed."""
    return OrderConfirmed(order_id=order, visitor_id=visitor, lines=(), total=Money(amount=amount, currency="EUR"))


def only(record):
    """What the one trial of a record adds."""
    ((_, _, figures),) = outcomes(record)
    return figures


def test_only_orders_of_the_window_count_and_earlier_ones_are_known():
    """One before, one within the week, one after it, and one a year ago."""
    orders = {"year": -timedelta(days=365), "before": -timedelta(days=3), "within": WEEK, "after": WEEK * 1.1}
    events = [stored(decided("v1"), NOON)]
    events += [
        stored(placed("v1", name, 100 * at), NOON + when, at) for at, (name, when) in enumerate(orders.items(), 2)
    ]

    figures = only(fold(None, events, WEEK))

    assert figures["0.1000/offer/n"] == 1
    assert figures["0.1000/offer/reported/bought/y"] == figures["0.1000/offer/reported/bought/x"] == 1
    assert figures["0.1000/offer/reported/revenue:EUR/y"] == 400
    assert figures["0.1000/offer/reported/revenue:EUR/yy"] == 160_000
    assert figures["0.1000/offer/reported/revenue:EUR/x"] == 300
    assert figures["0.1000/offer/reported/revenue:EUR/xy"] == 120_000
    assert not any("confirmed" in name for name in figures)
    assert timedelta(days=3) < BEFORE < timedelta(days=365)


def test_a_report_and_its_confirmation_are_one_order():
    """The amount of the earlier counts as reported, the confirmation's as confirmed."""
    events = [
        stored(decided("v1", arm="none"), NOON),
        stored(placed("v1", "o1", 4000), NOON + timedelta(hours=1), 2),
        stored(confirmed("v1", "o1", 3000), NOON + timedelta(hours=2), 3),
    ]

    figures = only(fold(None, events, WEEK))

    assert figures["0.1000/none/reported/bought/y"] == figures["0.1000/none/confirmed/bought/y"] == 1
    assert figures["0.1000/none/reported/revenue:EUR/y"] == 4000
    assert figures["0.1000/none/confirmed/revenue:EUR/y"] == 3000


def test_who_had_no_choice_is_only_counted():
    """A journey that holds nobody out has no experiment; a decision that failed another check is no part of it."""
    everybody = [stored(decided("v1", withheld=0.0), NOON), stored(placed("v1", "o1"), NOON + timedelta(hours=1), 2)]
    refused = [stored(decided("v1", eligible=False), NOON)]

    assert only(fold(None, everybody, WEEK)) == {"0.0000/offer/n": 1}
    assert list(outcomes(fold(None, refused, WEEK))) == []


def test_one_very_large_order_counts_as_a_large_one():
    """Sums stay within 64 bits, and one wholesale buyer decides nothing."""
    events = [stored(decided("v1"), NOON), stored(placed("v1", "o1", 10**12), NOON + timedelta(hours=1), 2)]

    assert only(fold(None, events, WEEK))["0.1000/offer/reported/revenue:EUR/y"] == MOST_AMOUNT


moments = st.integers(0, 20).map(lambda days: NOON + timedelta(days=days))
visitors, orders, regions = (st.sampled_from(names) for names in (("v1", "v2"), ("o1", "o2"), ("us", "eu")))
happened = st.one_of(
    st.builds(
        lambda visitor, arm, journey: decided(visitor, arm=arm, journey=journey),
        visitors,
        st.sampled_from(("none", "10")),
        st.sampled_from(("j1", "j2")),
    ),
    st.builds(
        placed,
        visitors,
        st.sampled_from(("o1", "o2")),
        st.integers(1, 99),
        by=st.sampled_from(("page", "server")),
        coupon=st.sampled_from((None, "save10", "SAVE-NONE")),
    ),
    st.builds(confirmed, visitors, st.sampled_from(("o1", "o2"))),
)


@st.composite
def deliveries(draw):
    """A log, and a way in which it is delivered: in any order, some of it again, in batches of any size."""
    found = draw(st.lists(st.tuples(happened, moments), min_size=1, max_size=12))
    log = [
        stored(event, at, number, draw(st.sampled_from(("us", "eu")))) for number, (event, at) in enumerate(found, 1)
    ]
    waiting = draw(st.permutations([*log, *draw(st.lists(st.sampled_from(log), max_size=5))]))
    batches = []
    while waiting:
        size = draw(st.integers(1, len(waiting)))
        batches.append(waiting[:size])
        waiting = waiting[size:]
    return log, batches


def mesh():
    """A region of its own."""
    return Mesh(MemoryMesh("us", "eu").broker("us"), "studio", others=("eu",))


async def kept(of):
    """What the bucket holds, without days on which by now nobody began."""
    return {key: value async for key, value in of.state(PARTICIPANTS).items() if value.participant or value.day}


@settings(max_examples=60)
@given(deliveries())
def test_sums_are_those_of_the_records_whatever_is_delivered_when(delivered):
    """Any order, any repetition, any batches, and after a rebuild: the same records and sums."""
    log, batches = delivered

    async def count():
        once, anyhow = mesh(), mesh()
        await EffectsWriter(once, WEEK).apply(log)
        writer = EffectsWriter(anyhow, WEEK)
        for batch in batches:
            await writer.apply(batch)
        before = await kept(anyhow)
        await anyhow.state(EXPERIMENT_DAYS).purge()
        await anyhow.state(PARTICIPANTS).purge()
        await writer.apply(reversed(log))
        return await kept(once), before, await kept(anyhow)

    once, anyhow, rebuilt = asyncio.run(count())

    assert once == anyhow == rebuilt
    records = [value.participant for value in once.values() if value.participant]
    from_records = total(figures for record in records for _, _, figures in outcomes(record))
    assert total(figures for value in once.values() for figures in (value.day or {}).values()) == from_records


def arms(none, offer, bought_none, bought_offer, withheld="0.1000", revenue=4000):
    """The sums of a day on which so many took part."""
    figures = {}
    for arm, n, bought in (("none", none, bought_none), ("offer", offer, bought_offer)):
        figures[f"{withheld}/{arm}/n"] = n
        name = f"{withheld}/{arm}/reported"
        figures |= {f"{name}/bought/y": bought, f"{name}/bought/yy": bought}
        figures |= {f"{name}/revenue:EUR/y": bought * revenue, f"{name}/revenue:EUR/yy": bought * revenue**2}
    return figures


TODAY = date(2026, 6, 1)


def days_back(first, count, figures):
    """The same sums on each of some days."""
    return {TODAY - timedelta(days=first - at): figures for at in range(count)}


def test_a_result_waits_for_everybodys_time_to_buy():
    """Shoppers of the last seven days, and of today, are counted apart."""
    one = result("j", days_back(8, 8, arms(10, 90, 1, 9)) | {TODAY: arms(1, 9, 0, 0)}, TODAY, WEEK)

    assert (one.none.participants, one.offer.participants, one.young) == (10, 90, 7 * 100 + 10)
    assert not one.ready
    assert words.verdict(one)[0] == "young"


def test_a_clear_effect_is_said_in_orders_and_money():
    """14 % instead of 10 %: four more orders per 100 shoppers, in an interval that excludes none."""
    one = result("j", days_back(60, 50, arms(100, 900, 10, 126)), TODAY, WEEK)
    kind, sentence = words.verdict(one)

    assert one.ready
    assert one.orders.estimate == pytest.approx(4)
    assert 0 < one.orders.low < 4 < one.orders.high
    assert kind == "good"
    assert sentence.startswith("The offers work: they bring at least ")
    assert words.amount(one.revenue[0], one.revenue[0].estimate) == "+160.00 EUR"
    assert [point.day for point in one.points][-1] == TODAY - timedelta(days=11)
    assert chart(one.points).low < 0 < chart(one.points).high


def test_an_open_question_says_how_long_it_takes():
    """12 % instead of 10 % with a tenth of the shoppers: so many more days at this rate."""
    one = result("j", days_back(28, 20, arms(40, 360, 4, 43)), TODAY, WEEK)
    kind, sentence = words.verdict(one)

    assert kind == "open"
    assert sentence == f"Not yet known: about {one.orders.days} more days at this rate."
    assert 10 < one.orders.days < 400
    later = result("j", days_back(28 + one.orders.days, 20 + one.orders.days + 1, arms(40, 360, 4, 43)), TODAY, WEEK)
    assert words.verdict(later)[0] == "good"


def test_harm_is_said_as_plainly():
    """Offers that cost orders are named so."""
    one = result("j", days_back(60, 50, arms(100, 900, 14, 90)), TODAY, WEEK)

    assert words.verdict(one)[1].startswith("The offers do harm")


def test_groups_of_the_wrong_size_are_said_before_any_result():
    """Half of those without an offer are missing."""
    one = result("j", days_back(60, 50, arms(50, 900, 10, 126)), TODAY, WEEK)

    assert one.suspect
    assert words.verdict(one)[0] == "suspect"


def test_a_journey_without_holdout_says_what_is_missing():
    """Everybody gets the offer."""
    one = result("j", days_back(60, 50, {"0.0000/offer/n": 100}), TODAY, WEEK)

    assert one.certain == 5_000
    assert "nothing to compare" in words.verdict(one)[1]


async def test_regions_are_counted_together():
    """A journey's participants of both regions make one result."""
    region = mesh()
    writer = EffectsWriter(region, WEEK)
    for number, place in enumerate(("us", "eu"), start=1):
        await writer.apply([stored(decided(f"v{number}"), NOON, number, place)])

    read = await read_days(region, ("us", "eu"), [NOON.date()])
    (one,) = results(read, NOON.date() + timedelta(days=30), WEEK)

    assert set(read) == {("us", NOON.date()), ("eu", NOON.date())}
    assert one.offer.participants == 2


def of_variant(visitor, variant, *, step="first", position=1, outcome="approved", eligible=True):
    """A decision about a step with variants."""
    given_arm = Assignment(arm="10", probability=0.9, eligible=eligible, withheld=0.1) if position == 1 else None
    fields = {"variant": variant, "step": step, "position": position, "outcome": outcome, "assignment": given_arm}
    return approved_offer(1, visitor_id=visitor, journey="sale", **fields)


def test_variants_are_compared_by_what_chance_gave():
    """A first step counts all of whom nothing but chance decided, a later one those to whom it was sent."""
    events = [
        stored(of_variant("v1", "bold"), NOON),
        stored(of_variant("v1", "calm", step="second", position=2), NOON, 2),
        stored(of_variant("v1", "calm", step="third", position=3, outcome="dropped"), NOON, 3),
    ]

    found = {group: figures for _, group, figures in outcomes(fold(None, events, WEEK))}

    assert set(found) == {"sale", "sale/first", "sale/second"}
    assert found["sale/first"] == {"0.5000/bold/n": 1}
    assert list(outcomes(fold(None, [stored(of_variant("v2", "bold", eligible=False), NOON)], WEEK))) == []


def of_step(shoppers, **bought):
    """The sums of a day on which each variant was given to so many, of whom so many bought."""
    figures = {}
    for variant, count in bought.items():
        name = f"0.5000/{variant}/reported/bought"
        figures |= {f"0.5000/{variant}/n": shoppers, f"{name}/y": count, f"{name}/yy": count}
    return figures


def test_a_variant_is_better_when_it_is_known():
    """Each against the first, by the interval that may be looked at every day; too few say nothing."""
    days = days_back(60, 50, of_step(100, bold=10, calm=16, dull=10))
    read = {("us", day): {"sale/first": figures, "sale": {}, "other/first": figures} for day, figures in days.items()}

    (step,) = variants_of("sale", read, TODAY, WEEK)
    bold, calm, dull = step.variants

    assert (step.step, bold.arm.participants, bold.words) == ("first", 5_000, "")
    assert calm.verdict == "better"
    assert calm.words.startswith("+6.0 orders (+")
    assert dull.verdict == "no difference is known yet"
    assert [one.journey for one in results(read, TODAY, WEEK)] == ["sale"]
    few = {("us", TODAY - timedelta(days=20)): {"sale/first": of_step(100, bold=10, calm=16)}}
    assert [one.effect for one in variants_of("sale", few, TODAY, WEEK)[0].variants] == [None, None]
    assert variants_of("sale", {("us", TODAY): {"sale/first": of_step(100, bold=9)}}, TODAY, WEEK) == []
