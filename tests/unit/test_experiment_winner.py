"""Winners by rule: what variants leave and cost, when a rule chooses, and that its choice is published exactly once."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mesh import Mesh, Money, Received
from mesh.broker.memory import MemoryMesh
from mesh.events.code import Discount
from mesh.events.console import ConsoleChanged
from mesh.events.customer import CustomerUnsubscribed
from mesh.events.mail import MailComplained
from mesh.events.offer import OfferSent, OfferUnsubscribed
from mesh.events.order import OrderPlaced
from notifications.channels.service import name_refused_offer
from notifications.documents.document import WINNER_RULE
from notifications.documents.publishing import publish, revert, versions
from notifications.exact_sums import Sums
from notifications.experiments.participant import fold, outcomes
from notifications.journeys import parse
from notifications.journeys.kind import FILE, JOURNEYS, files_of
from notifications.studio.decision_pages.figures import FiguresWriter
from notifications.studio.decision_pages.figures import read_days as read_offer_days
from notifications.studio.experiment_pages.choosing import choice_of, choose_winners, what_was_tested
from notifications.studio.experiment_pages.figures import EXPERIMENT_DAYS
from notifications.studio.experiment_pages.guardrails import Mails, mails_of, rates
from notifications.studio.experiment_pages.margins import Margin
from notifications.studio.experiment_pages.variants import variants_of
from notifications.studio.experiment_pages.winner import choose
from tests.approved_offer import approved_offer

TODAY, WEEK = datetime.now(UTC).date(), timedelta(days=7)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TEST = """template = "mail"
# The greeting is what we are proud of.
[[steps]]
name = "first"
choose_winner = "orders"
winner_size = 1000
[[steps.variants]]
name = "calm"
[[steps.variants]]
name = "bold"
"""


def step_of(text=TEST):
    """The first step of a journey."""
    return parse("sale", text, {}).steps[0]


def figures(arms):
    """The sums of a step's variants: of each how many shoppers, how many bought, and what codes took off each order."""
    found = {}
    for name, (n, bought, off) in arms.items():
        arm, paid = f"0.5000/{name}", 4_000 - off
        found[f"{arm}/n"] = n
        found |= {f"{arm}/reported/bought/{one}": bought for one in ("y", "yy")}
        found |= {f"{arm}/reported/revenue:EUR/y": bought * paid, f"{arm}/reported/revenue:EUR/yy": bought * paid**2}
        if off:
            off_sums = {"y": bought * off, "yy": bought * off**2, "ry": bought * off * paid}
            found |= {f"{arm}/reported/discount:EUR/{one}": value for one, value in off_sums.items()}
    return found


def results(arms, mails=None):
    """The results of a step's variants; `mails` are sent, unsubscribed and complained of each."""
    offers = {}
    for name, counts in (mails or {}).items():
        for what, count in zip(("sent:email", "unsubscribed", "complained"), counts, strict=True):
            offers[f"step:first:{name}:{what}"] = count
    read = {("us", TODAY - timedelta(days=30)): {"sale/first": figures(arms)}}
    (step,) = variants_of("sale", read, TODAY, WEEK, margin=Margin(share=0.4), offers=offers)
    return step.variants


def stored(event, at, number=1):
    """An event as it is delivered."""
    return Received(event=event, id=f"e{number}", time=at, stored=at, region="us", sequence=number, subject="s")


def test_the_margin_is_what_is_left_of_the_price_less_the_discount():
    """Of 100 EUR with 20 % off 80 are paid, the goods cost 60: 20 are left, whichever code stood in which form."""
    discount = Discount(kind="percentage", percent=20)
    decided = approved_offer(
        1, visitor_id="v1", journey="sale", step="first", position=2, variant="calm", coupon="SAVE-2345-678"
    )
    decided = type(decided)(
        **{name: getattr(decided, name) for name in decided.__struct_fields__} | {"discount": discount}
    )
    order = OrderPlaced(
        order_id="o1", visitor_id="v1", lines=(), total=Money(amount=8_000, currency="EUR"), coupon="save2345 678"
    )
    events = [stored(order, NOON + timedelta(hours=1), 2), stored(decided, NOON)]

    ((_, _, found),) = outcomes(fold(None, events, WEEK))
    sums = Margin(share=0.4).sums(found, "0.5000/calm/reported", "EUR", 1)

    assert found["0.5000/calm/reported/discount:EUR/y"] == 2_000
    assert (sums.y, sums.yy) == pytest.approx((2_000, 2_000**2))
    assert fold(None, reversed(events), WEEK) == fold(None, events, WEEK)


async def test_whoever_unsubscribes_or_complains_counts_for_the_mail():
    """By step and variant, for the day on which the cart was left; a complaint about another mail counts nowhere."""
    mesh = Mesh(MemoryMesh("us").broker("us"), "studio")
    events = [
        stored(approved_offer(at, journey="sale", step="first", variant="bold", due=NOON), NOON, at) for at in range(9)
    ]
    events += [
        stored(OfferSent(cart_id=f"c{at}", visitor_id=f"v{at}", offer_id=f"offer-{at}", channel="email"), NOON, 10 + at)
        for at in range(9)
    ]
    complained = [
        MailComplained(address="a", domain="x.test", source="arf", report="r", mail=one)
        for one in ("offer-1", None, "order-1")
    ]
    events += [stored(one, NOON, 30 + at) for at, one in enumerate(complained)]
    left = [
        change
        async for change in name_refused_offer(
            stored(CustomerUnsubscribed(visitor_id="v2", channel="email", offer_id="offer-2"), NOON)
        )
    ]
    events += [stored(one, NOON, 40 + at) for at, one in enumerate(left * 2)]

    await FiguresWriter(mesh).apply(events)
    read = await read_offer_days(mesh, ["us"], [NOON.date()])
    found = read["us", NOON.date()]["sale"]

    assert left == [OfferUnsubscribed(offer_id="offer-2", channel="email")]
    assert mails_of(found) == mails_of(found, "step:first:bold:") == Mails(sent=9, unsubscribed=1, complained=1)


def test_a_rate_does_harm_where_even_its_lower_end_is_above_the_bound():
    """3 % who unsubscribe of 10,000 mails; of a few mails nothing is said."""
    unsubscribed, complained = rates(Mails(sent=10_000, unsubscribed=300, complained=2))

    assert unsubscribed.harms
    assert unsubscribed.low < 0.03 < unsubscribed.high
    assert not complained.harms
    assert not any(one.harms for one in rates(Mails(sent=100, unsubscribed=50)))


def test_a_rule_chooses_what_is_known_to_be_better():
    """Not before the minimum size, and not what is only likely."""
    few = choose(step_of(), results({"calm": (900, 200, 0), "bold": (1_200, 20, 0)}))
    open_question = choose(step_of(), results({"calm": (5_000, 520, 0), "bold": (5_000, 500, 0)}))
    known = choose(step_of(), results({"calm": (5_000, 800, 0), "bold": (5_000, 500, 0)}))

    assert few.winner == ""
    assert few.words == (
        "Each variant needs 1,000 shoppers, of whom 10 bought: the smallest has 900, and the fewest that bought are 20."
    )
    assert open_question.winner == ""
    assert known.winner == "calm"
    alone = choose(step_of(), results({"calm": (5_000, 800, 0)}))
    assert "the smallest has 0" in alone.words


def test_a_rule_chooses_nothing_that_does_harm():
    """More orders, and three times as many who unsubscribe; or more orders that cost more than they bring."""
    arms = {"calm": (5_000, 800, 0), "bold": (5_000, 500, 0)}
    harmed = choose(step_of(), results(arms, {"calm": (5_000, 300, 0), "bold": (5_000, 100, 0)}))
    spent = choose(step_of(), results({"calm": (5_000, 800, 1_500), "bold": (5_000, 500, 0)}))

    assert harmed.winner == ""
    assert harmed.words == "calm brings the most orders and does harm (unsubscribed): choose by hand."
    assert spent.words == "calm brings the most orders and does harm (margin): choose by hand."
    by_margin = step_of(TEST.replace('"orders"', '"margin"'))
    assert choose(by_margin, results({"calm": (5_000, 800, 1_500), "bold": (5_000, 500, 0)})).winner == "bold"
    calm = results(arms, {"calm": (5_000, 300, 0), "bold": (5_000, 100, 0)})[1]
    assert (calm.name, calm.harms, calm.loses_margin) == ("calm", ("unsubscribed",), False)


def test_a_rule_that_looks_every_day_chooses_among_equals_in_one_of_twenty_tests_at_most():
    """Three variants that are the same, 200 tests of 40 days: the chance is shared by all pairs."""
    chance, alarms = np.random.default_rng(11), 0
    step = step_of(TEST + '[[steps.variants]]\nname = "dull"\n')
    for _ in range(200):
        counted = dict.fromkeys(("calm", "bold", "dull"), 0)
        for day in range(1, 41):
            counted = {name: count + int(chance.binomial(100, 0.1)) for name, count in counted.items()}
            if choose(step, results({name: (100 * day, count, 0) for name, count in counted.items()})).winner:
                alarms += 1
                break

    assert alarms <= 10


@pytest.fixture
def regions():
    """The studios of two regions that hear of each other."""
    both = MemoryMesh("eu", "us")
    return {
        region: Mesh(both.broker(region), "studio", others=(other,)) for region, other in (("eu", "us"), ("us", "eu"))
    }


async def measured(mesh, day, **arms):
    """Bring the sums of a day into the figures, as if shoppers had taken part."""
    kept = Sums(revision=1, groups={"sale/first": figures({name: (n, b, 0) for name, (n, b) in arms.items()})})
    await mesh.state(EXPERIMENT_DAYS).put(f"day-{mesh.region}-{day.isoformat()}", kept)


LATER = TODAY + timedelta(days=30)


async def test_a_winner_is_published_once_and_by_the_rule(regions):
    """By the region whose revision is in force; the rest of the text stays as it is written, and the audit has it."""
    eu, us = regions["eu"], regions["us"]
    made = await publish(JOURNEYS, "sale", files_of(TEST), "ada", us)
    for mesh in (eu, us):
        await mesh.state(JOURNEYS.bucket).put("sale", made)
        await measured(mesh, TODAY, calm=(5_000, 800), bold=(5_000, 500))

    elsewhere = await choose_winners(eu, WEEK, LATER)
    (winner,) = await choose_winners(us, WEEK, LATER)
    again = await choose_winners(us, WEEK, LATER)

    assert elsewhere == again == []
    assert (winner.revision, winner.author, winner.runs_from) == (2, WINNER_RULE, None)
    assert winner.files[FILE] == TEST.replace("winner_size = 1000\n", 'winner_size = 1000\nwinner = "calm"\n')
    noted = (await us.last(ConsoleChanged, WINNER_RULE)).event
    assert (noted.action, noted.subject) == ("choose-winner", "journey/sale")
    assert noted.details == {"revision": "2", "winner of first": "calm"}


async def test_a_rule_chooses_nothing_while_the_variants_are_not_given_as_their_shares_say(regions):
    """Something else than chance decides who is counted, so the better one may be no better."""
    us = regions["us"]
    await us.state(JOURNEYS.bucket).put("sale", await publish(JOURNEYS, "sale", files_of(TEST), "ada", us))
    await measured(us, TODAY, calm=(5_000, 800), bold=(4_000, 400))

    assert await choose_winners(us, WEEK, LATER) == []
    await measured(us, TODAY, calm=(5_000, 800), bold=(5_000, 500))
    assert len(await choose_winners(us, WEEK, LATER)) == 1


async def test_a_rule_does_not_overrule_a_person(regions):
    """What it chose was put back: it does not choose again, until something else is tested."""
    mesh = regions["us"]
    await publish(JOURNEYS, "sale", files_of(TEST), "ada", mesh)
    await measured(mesh, TODAY, calm=(5_000, 800), bold=(5_000, 500))
    await choose_winners(mesh, WEEK, LATER)
    await revert(JOURNEYS, "sale", 1, "ada", mesh)

    assert await choose_winners(mesh, WEEK, LATER) == []
    said = await choice_of(parse("sale", TEST, {}), step_of(), mesh, {}, WEEK, LATER)
    assert said.words == "A person undid what the rule chose: it does not choose among these again."
    assert [one.document.revision for one in await versions(JOURNEYS, "sale", mesh)] == [3, 2, 1]
    other = TEST.replace('name = "bold"', 'name = "bold"\ndiscount_percent = 5')
    await publish(JOURNEYS, "sale", files_of(other), "ada", mesh)
    assert not (await what_was_tested("sale", step_of(other), mesh)).chosen


async def test_what_other_variants_brought_says_nothing_of_these(regions):
    """A variant is another since today: only the days after today count."""
    mesh = regions["us"]
    await publish(JOURNEYS, "sale", files_of(TEST.replace("1000", "300")), "ada", mesh)
    first = await what_was_tested("sale", step_of(), mesh)
    other = TEST.replace('name = "calm"', 'name = "calm"\ntemplate = "loud"')
    await publish(JOURNEYS, "sale", files_of(other), "ada", mesh)
    await measured(mesh, TODAY, calm=(5_000, 800), bold=(5_000, 500))

    assert first.since == TODAY
    assert await choose_winners(mesh, WEEK, LATER) == []
    await measured(mesh, TODAY + timedelta(days=1), calm=(5_000, 800), bold=(5_000, 500))
    assert [one.revision for one in await choose_winners(mesh, WEEK, LATER)] == [3]


def test_a_rule_needs_something_to_choose_among():
    """Words that say what to do."""
    with pytest.raises(Exception, match="choose_winner: give two variants a share above 0"):
        step_of(TEST.replace('[[steps.variants]]\nname = "bold"\n', ""))
    with pytest.raises(Exception, match="winner_size: 200 shoppers of each variant at least"):
        step_of(TEST.replace("1000", "100"))
    with pytest.raises(Exception, match="steps: step first"):
        step_of(TEST.replace('"orders"', '"luck"'))
