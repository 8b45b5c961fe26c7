"""The figures of the overview: exact whatever the order of events, however often each comes, and after a rebuild."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import Mesh, Money, Received
from mesh.broker.memory import MemoryMesh
from mesh.errors import Unavailable
from mesh.events.cart import CartRecovered
from mesh.events.mail import MailComplained
from mesh.events.offer import (
    OfferClicked,
    OfferDecided,
    OfferDeferred,
    OfferFailed,
    OfferOpened,
    OfferSent,
    OfferShown,
    OfferUnsubscribed,
    OfferWithdrawn,
)
from notifications.exact_sums import day_key, newer, total
from notifications.journeys import parse
from notifications.progress import WAITING
from notifications.studio.decision_pages.figures import (
    EVERY,
    OFFER_DAYS,
    OFFERS,
    FiguresWriter,
    offer_key,
    read_days,
    read_offer,
)
from notifications.studio.decision_pages.offer_record import OF_STEPS, figures_of
from notifications.studio.decision_pages.step_results import step_results
from tests.approved_offer import approved_offer

MONDAY = datetime(2026, 5, 4, 23, 59, tzinfo=UTC)
OUTCOMES = (("approved", ""), ("held", "quiet hours"), ("dropped", "no consent"), ("dropped", "holdout"))
CHANNELS = ("email", "onsite")
OPENED_BY = ("person", "proxy", "machine", "unknown")


def decided(offer, attempt=1, outcome="approved", reason="", **more):
    """A decision; all about one offer are due at the same moment."""
    due = MONDAY + timedelta(hours=offer)
    fields = {"attempt": attempt, "outcome": outcome, "reason": reason, "due": due} | more
    return approved_offer(offer, journey=f"j{offer % 2}", **fields)


def about(kind, offer, **more):
    """Another event of an offer."""
    fields = {"cart_id": f"c{offer}", "offer_id": f"offer-{offer}"} | more
    if "visitor_id" in kind.__struct_fields__:
        fields["visitor_id"] = f"v{offer}"
    return kind(**fields)


def recovered(offer, order, amount, currency="EUR"):
    """The shopper came back and bought."""
    return about(CartRecovered, offer, order_id=order, value=Money(amount=amount, currency=currency))


def complained(offer):
    """The shopper called the mail spam."""
    return MailComplained(address="a", domain="x.test", source="arf", report=f"r{offer}", mail=f"offer-{offer}")


offers = st.integers(1, 4)
happened = st.one_of(
    st.builds(lambda offer, attempt, end: decided(offer, attempt, *end), offers, st.just(1), st.sampled_from(OUTCOMES)),
    st.builds(lambda offer, end: decided(offer, 2, *end), offers, st.sampled_from(OUTCOMES)),
    st.builds(lambda offer: decided(offer, 3, step="s", variant="b"), offers),
    st.builds(lambda offer, to: about(OfferSent, offer, channel=to), offers, st.sampled_from(CHANNELS)),
    st.builds(lambda offer: about(OfferSent, offer, channel="email", opens_counted=True), offers),
    st.builds(lambda offer, by: about(OfferOpened, offer, by=by, reason="r"), offers, st.sampled_from(OPENED_BY)),
    st.builds(
        lambda offer: about(OfferDeferred, offer, channel="email", attempt=1, reason="busy", until=MONDAY), offers
    ),
    st.builds(
        lambda kind, offer: about(kind, offer, channel="email", reason="r"),
        st.sampled_from((OfferFailed, OfferWithdrawn)),
        offers,
    ),
    st.builds(about, st.sampled_from((OfferShown, OfferClicked)), offers),
    st.builds(lambda offer: OfferUnsubscribed(offer_id=f"offer-{offer}", channel="email"), offers),
    st.builds(complained, offers),
    st.builds(recovered, offers, st.sampled_from(("o1", "o2")), st.just(4200)),
)


@st.composite
def deliveries(draw):
    """A log, and two ways in which it is delivered: in any order, some of it again, in batches of any size."""
    events = draw(st.lists(happened, min_size=1, max_size=12, unique_by=repr))
    log = [stored(event, number) for number, event in enumerate(events, start=1)]
    again = draw(st.lists(st.sampled_from(log), max_size=6))
    batches = []
    waiting = draw(st.permutations([*log, *again]))
    while waiting:
        size = draw(st.integers(1, len(waiting)))
        batches.append(waiting[:size])
        waiting = waiting[size:]
    return log, batches


def stored(event, number, region="us"):
    """An event as it is delivered."""
    return Received(
        event=event, id=f"e{number}", time=MONDAY, stored=MONDAY, region=region, sequence=number, subject="s"
    )


def mesh():
    """A region of its own."""
    return Mesh(MemoryMesh("us", "eu").broker("us"), "studio", others=("eu",))


async def kept(of):
    """What the bucket holds."""
    return {key: value async for key, value in of.state(OFFERS).items()}


async def copied(of):
    """What pages read, by day and journey."""
    return by_journey({key: sums.groups async for key, sums in of.state(OFFER_DAYS).items()})


def days_of(values):
    """The figures by day and journey."""
    return by_journey({key: value.day for key, value in values.items() if value.day is not None})


def by_journey(days):
    """Days without months and without what is counted of every journey together, which are as much as they come to."""
    found = {key: {name: one for name, one in groups.items() if name != EVERY} for key, groups in days.items()}
    for key, journeys in found.items():
        whole = total(journeys.values())
        assert days[key].get(EVERY, {}) == {name: whole[name] for name in whole if not name.startswith(OF_STEPS)}
    of_days = {key: journeys for key, journeys in found.items() if key.startswith("day-")}
    for key in found.keys() - of_days.keys():
        in_it = [one for day, one in of_days.items() if day.startswith(key.replace("month-", "day-"))]
        assert found[key] == {name: total(one.get(name, {}) for one in in_it) for name in found[key]}
    return of_days


@given(deliveries())
def test_figures_are_the_sum_of_the_records_whatever_is_delivered_when(delivered):
    """Any order, any repetition, any batches: the same records and figures as the log read once, in its order."""
    log, batches = delivered

    async def count():
        once, anyhow = mesh(), mesh()
        await FiguresWriter(once).apply(log)
        writer = FiguresWriter(anyhow)
        for batch in batches:
            await writer.apply(batch)
        return await kept(once), await kept(anyhow), await copied(anyhow)

    once, anyhow, shown = asyncio.run(count())

    assert once == anyhow
    assert shown == days_of(once)
    sums = defaultdict(lambda: defaultdict(list))
    for value in once.values():
        if value.offer and value.offer.day:
            sums[day_key("us", value.offer.day)][value.offer.journey].append(figures_of(value.offer))
    assert days_of(once) == {
        day: {journey: total(figures) for journey, figures in journeys.items()} for day, journeys in sums.items()
    }


@given(deliveries())
def test_a_rebuild_brings_the_same_figures(delivered):
    """The bucket is emptied under the running writer, and the whole log comes again."""
    log, batches = delivered

    async def count():
        region = mesh()
        writer = FiguresWriter(region)
        for batch in batches:
            await writer.apply(batch)
        before = await kept(region)
        await region.state(OFFER_DAYS).purge()
        await region.state(OFFERS).purge()
        for received in log:
            await writer.apply([received])
        return before, await kept(region), await copied(region)

    before, after, shown = asyncio.run(count())

    assert before == after
    assert shown == days_of(after)


async def test_a_writer_that_is_killed_before_it_copied_leaves_nothing_out(monkeypatch):
    """The events come again: all of them are counted, and what they count in is copied all the same."""
    region = mesh()
    log = [stored(decided(number, due=MONDAY), number) for number in range(1, 4)]
    puts = region.broker.kv_put_each

    async def killed(bucket, values):
        if bucket is OFFER_DAYS:
            raise Unavailable("killed")
        return await puts(bucket, values)

    monkeypatch.setattr(region.broker, "kv_put_each", killed)
    with pytest.raises(Unavailable):
        await FiguresWriter(region).apply(log)
    monkeypatch.undo()
    before = await copied(region)

    await FiguresWriter(region).apply(log)

    assert before == {}
    assert await copied(region) == days_of(await kept(region)) != {}


async def test_a_process_that_is_late_does_not_show_older_figures():
    """The copy stays at the newest revision of the sums, whoever copies last."""
    region = mesh()
    await FiguresWriter(region).apply([stored(decided(2, due=MONDAY), 1)])
    late = await region.state(OFFER_DAYS).get("day-us-2026-05-04")
    await FiguresWriter(region).apply([stored(decided(4, due=MONDAY), 2)])

    await region.state(OFFER_DAYS).update("day-us-2026-05-04", partial(newer, late))

    assert await copied(region) == {"day-us-2026-05-04": {"j0": {"approved": 2, "evaluated": 2}}}


async def test_pages_read_nothing_of_what_grows_with_offers():
    """The figures are there without the bucket of the records."""
    region = mesh()
    await FiguresWriter(region).apply([stored(decided(2, due=MONDAY), 1)])
    await region.state(OFFERS).purge()

    assert await read_days(region, ("us",), [MONDAY.date()]) == {
        ("us", MONDAY.date()): {name: {"approved": 1, "evaluated": 1} for name in (EVERY, "j0")}
    }


async def test_processes_that_count_at_the_same_time_lose_nothing():
    """Four of them get the same log at once, each a part first: whoever is slower counts again."""
    region = mesh()
    log = [stored(decided(number, due=MONDAY), number) for number in range(1, 121)]

    await asyncio.gather(*(FiguresWriter(region).apply(log[at:] + log[:at]) for at in (0, 30, 60, 90)))

    days = days_of(await kept(region))
    assert days == {
        "day-us-2026-05-04": {name: {"approved": 60, "evaluated": 60} for name in ("j0", "j1")},
    }


async def test_all_that_becomes_of_an_offer_counts_on_the_day_its_cart_was_left():
    """A held offer that is approved the next day and recovered the day after is one approved, sent and recovered."""
    region = mesh()
    writer = FiguresWriter(region)
    await writer.apply([stored(decided(2, 1, "held", "quiet hours", due=MONDAY), 1)])
    held = days_of(await kept(region))
    log = [decided(2, 2, due=MONDAY), about(OfferSent, 2, channel="email"), recovered(2, "o1", 4200)]

    await writer.apply([stored(event, number) for number, event in enumerate(log, start=2)])

    assert held == {"day-us-2026-05-04": {"j0": {"evaluated": 1, "held": 1, "held:quiet hours": 1}}}
    assert days_of(await kept(region)) == {
        "day-us-2026-05-04": {
            "j0": {"approved": 1, "evaluated": 1, "recovered": 1, "revenue:EUR": 4200, "sent": 1, "sent:email": 1}
        }
    }


async def test_steps_and_variants_are_counted_by_their_names():
    """What waits is not evaluated yet; what was won counts for the journey and for its step and variant."""
    region = mesh()
    writer = FiguresWriter(region)
    step = {"step": "second", "position": 2, "variant": "b", "due": MONDAY}
    await writer.apply([stored(decided(2, 1, "held", WAITING, **step), 1)])
    waiting = days_of(await kept(region))
    log = [decided(2, 2, **step), about(OfferSent, 2, channel="email"), about(OfferClicked, 2)]

    await writer.apply([stored(one, at) for at, one in enumerate([*log, recovered(2, "o1", 4200)], start=2)])

    whole = {"approved": 1, "clicked": 1, "recovered": 1, "revenue:EUR": 4200, "sent": 1, "sent:email": 1}
    assert waiting == {"day-us-2026-05-04": {"j0": {"waiting": 1}}}
    assert days_of(await kept(region)) == {
        "day-us-2026-05-04": {
            "j0": {"evaluated": 1, "sent:email": 1, **whole}
            | {f"step:second:b:{name}": count for name, count in whole.items()}
        }
    }


def test_results_of_steps_are_shown_in_the_order_of_the_journey():
    """Also those that it has no more, and those that were not sent yet."""
    journey = parse("sale", 'template = "a"\n[[steps]]\nname = "z"\n[[steps.variants]]\nname = "b"\n', {})
    figures = {"step:z:b:sent": 4, "step:z:b:clicked": 1, "step:z:b:revenue:EUR": 900, "step:a:x:sent": 2, "sent": 6}

    shown = step_results(figures, journey)

    assert [(one.step, one.variant, one.state, one.count("sent")) for one in shown] == [
        ("z", "b", "", 4),
        ("a", "x", "removed", 2),
    ]
    assert (shown[0].part("clicked"), shown[0].revenue, shown[1].revenue) == ("25.0 %", "9.00 EUR", "-")


async def test_offer_ids_of_browsers_may_be_any_text():
    """A click on an offer that never was is kept apart and counts nowhere."""
    region = mesh()
    strange = ("a b", "x" * 500, "*", ">", "ö")

    await FiguresWriter(region).apply(
        [stored(about(OfferClicked, 1, offer_id=name), at) for at, name in enumerate(strange, start=1)]
    )

    assert days_of(await kept(region)) == {}
    assert [(await read_offer(region, name)).clicked for name in strange] == [True] * len(strange)
    assert len({offer_key(name) for name in strange}) == len(strange)


def test_a_decision_is_a_kind_that_the_figures_know():
    """The decision's own outcomes are the names that are counted."""
    assert {outcome for outcome, _ in OUTCOMES} == set(OfferDecided.__annotations__["outcome"].__args__)
