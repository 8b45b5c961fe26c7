"""Runs of journeys with several steps, at any moment of any day: what ends them, what only skips a step, who gets what.

Time is a number here: `decide` is asked as of a moment, and what it schedules goes off when the test says so.
"""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh, Timer
from mesh.envelope import derive_id
from mesh.events.cart import CartAbandoned, CartConverted, CartLine, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.interaction import CheckoutStarted
from mesh.events.offer import OfferClicked, OfferDecided, OfferFailed, OfferOpened, OfferSent
from mesh.events.order import PurchaseMarked
from mesh.money import Money
from mesh.profiles import digests_of
from mesh.publish import Draft
from notifications.decision import decide
from notifications.decision_context import DecisionContext, DecisionRequest
from notifications.journeys import parse
from notifications.journeys.live import LiveJourney, LiveJourneys
from notifications.journeys.starts import start
from notifications.journeys.steps import Variant
from notifications.progress import WAITING
from notifications.templates.live import LiveTemplates
from notifications.variants import allocate_variant

LINE = CartLine(product_id="p1", quantity=1, price=Money(amount=4500, currency="EUR"))
USUAL = 'template = "mail"\nquiet = ""\nchannels = ["email"]\n'
THREE = """
[[steps]]
name = "first"
[[steps]]
name = "second"
after = "1d"
[[steps]]
name = "third"
after = "2d"
"""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Life:
    """One shopper, their cart and the journeys of a shop."""

    def __init__(self, regions, *journeys):
        self.mesh, self.elsewhere = (
            Mesh(regions.broker(region), "offers", others=(other,)) for region, other in (("us", "eu"), ("eu", "us"))
        )
        self.now = datetime.now(UTC)
        self.live = LiveJourneys()
        self.context = DecisionContext(journeys=self.live, templates=LiveTemplates(), secret="secret" * 4)
        for text in journeys or (USUAL + THREE,):
            self.publish(text)
        self.timers, self.abandonments = {}, 0

    def publish(self, text, *, revision=0, runs_from=None, name="sale"):
        journey = parse(name, text, {})
        self.live.set(LiveJourney(journey=journey, revision=revision, runs_from=runs_from))
        return journey

    async def say(self, *events):
        await self.mesh.publish(*(Draft(event=one, time=self.now) for one in events))

    async def arrive(self, visitor="ada"):
        await self.say(
            CustomerIdentified(visitor_id=visitor, email=f"{visitor}@example.test"),
            ConsentChanged(visitor_id=visitor, channel="email", granted=True),
        )

    async def leave(self, visitor="ada"):
        self.abandonments += 1
        named = f"left-{self.abandonments}"
        update = CartUpdated(cart_id="c1", visitor_id=visitor, lines=(LINE,))
        await self.mesh.publish(Draft(event=update, time=self.now, id=f"update-{self.abandonments}"))
        left = CartAbandoned(
            cart_id="c1",
            visitor_id=visitor,
            lines=(LINE,),
            total=LINE.price,
            left_at=self.now,
            due=self.now,
            update_id=f"update-{self.abandonments}",
        )
        await self.mesh.publish(Draft(event=left, id=named, time=self.now))
        await self.decide(DecisionRequest(cart_id="c1", abandonment_id=named, attempt=1))

    async def decide(self, request):
        changes = await decide(request, self.mesh, self.context, now=self.now)
        await self.mesh.publish(
            *(Draft(event=one, time=self.now) if isinstance(one, OfferDecided) else one for one in changes)
        )
        for one in changes:
            if isinstance(one, Timer):
                self.timers[one.event.run_id] = one
            elif type(one).__name__ == "Cancel":
                self.timers.pop(one.key, None)

    async def due(self, run="sale--c1"):
        """The timer of a run goes off."""
        timer = self.timers[run]
        self.now = max(self.now, timer.at)
        await self.fire(timer.event)

    async def fire(self, due):
        """A timer is delivered."""
        await self.decide(request_of(due))

    async def deliver(self, *, kind=OfferSent, at=None):
        """The mail server takes, or refuses, the offer that was approved last."""
        decided = [one for one in await self.decisions() if one.outcome == "approved"][-1]
        more = {"visitor_id": "ada"} if kind is not OfferFailed else {"reason": "no"}
        self.now = at or self.now
        await self.say(kind(cart_id="c1", offer_id=decided.offer_id, channel="email", **more))

    async def decisions(self):
        return [one.event for one in (await self.mesh.history("c1", OfferDecided)).of(OfferDecided)]

    async def ends(self):
        """How each step that was decided for good ended, in order."""
        return [(one.step, one.reason or one.outcome) for one in await self.decisions() if one.outcome != "held"]


def request_of(due):
    """What the service asks when a timer is delivered."""
    names = ("cart_id", "abandonment_id", "attempt", "journey", "step", "position")
    return DecisionRequest(**{name: getattr(due, name) for name in names})


@pytest.fixture
async def life(regions):
    """Begins a life with these journeys; its shopper has allowed mails."""

    async def begin(*journeys):
        made = Life(regions, *journeys)
        await made.arrive()
        return made

    return begin


async def test_each_step_comes_after_the_one_before_was_sent(life):
    """The delay counts from the mail server's answer, not from the decision."""
    ada = await life()
    await ada.leave()
    begun = ada.now
    await ada.deliver(at=begun + HOUR)
    await ada.due()
    assert (ada.now, await ada.ends()) == (begun + DAY, [("first", "approved")])
    await ada.due()
    assert (ada.now, await ada.ends()) == (begun + HOUR + DAY, [("first", "approved"), ("second", "approved")])
    await ada.deliver()
    await ada.due()

    assert [step for step, _ in await ada.ends()] == ["first", "second", "third"]
    assert (ada.now, ada.timers) == (begun + HOUR + 3 * DAY, {})
    assert len({one.offer_id for one in await ada.decisions()}) == 3


async def test_a_step_waits_while_the_offer_before_it_is_on_its_way(life):
    """Two mails never go out side by side because the mail server was away for a day."""
    ada = await life()
    await ada.leave()
    await ada.due()
    assert await ada.ends() == [("first", "approved")]
    await ada.deliver()
    await ada.due()
    assert await ada.ends() == [("first", "approved"), ("second", "approved")]


async def test_who_was_not_reached_goes_on_to_the_next_step(life):
    """A mail that failed ends nothing: the next step comes its delay after the decision."""
    ada = await life()
    await ada.leave()
    begun = ada.now
    await ada.deliver(kind=OfferFailed)
    await ada.due()

    assert (ada.now, (await ada.ends())[-1]) == (begun + DAY, ("second", "approved"))


@pytest.mark.parametrize("steps_before", [0, 1])
async def test_a_purchase_ends_the_run_at_any_step(life, steps_before):
    """The next step is dropped as bought, and none comes after it."""
    ada = await life()
    await ada.leave()
    for _ in range(steps_before):
        await ada.deliver()
        await ada.due()
    await ada.deliver()
    await ada.say(CartConverted(cart_id="c1", order_id="o1", visitor_id="ada"))
    await ada.due()

    assert (await ada.ends())[-1][1] == "bought"
    assert ada.timers == {}


async def test_what_happens_in_another_region_counts_once_it_is_here(life, eventually):
    """A click there makes a condition true, a purchase there ends the run."""
    ada = await life(USUAL + THREE.replace('name = "second"', 'name = "second"\nwhen = "clicked first"'))
    await ada.leave()
    await ada.deliver()
    [first] = [one for one in await ada.decisions() if one.step == "first"]
    click = OfferClicked(cart_id="c1", visitor_id="ada", offer_id=first.offer_id, channel="email")
    await ada.elsewhere.publish(click)
    await eventually(lambda: _copied(ada, OfferClicked))
    await ada.due()
    await ada.deliver()
    await ada.elsewhere.publish(*(PurchaseMarked(shopper=one, order_id="o1") for one in digests_of("ada")))
    await eventually(lambda: ada.mesh.history_elsewhere("eu", digests_of("ada")[0], "order"))
    await ada.due()

    assert await ada.ends() == [("first", "approved"), ("second", "approved"), ("third", "bought")]


async def _copied(ada, kind):
    return (await ada.mesh.history_elsewhere("eu", "c1", "offer")).of(kind)


async def test_who_unsubscribes_between_two_steps_gets_no_more(life):
    """Also by no other channel."""
    ada = await life(USUAL.replace('["email"]', '["email", "onsite"]') + THREE)
    await ada.leave()
    await ada.deliver()
    await ada.say(CustomerUnsubscribed(visitor_id="ada", channel="email", offer_id="o"))
    await ada.due()

    assert await ada.ends() == [("first", "approved"), ("second", "unsubscribed")]
    assert ada.timers == {}


async def test_a_step_that_a_cap_drops_does_not_end_the_run(life):
    """The shopper gets the third step, as the cap's window is over by then."""
    ada = await life(USUAL + 'cap = 1\ncap_window = "36h"\n' + THREE)
    await ada.leave()
    await ada.deliver()
    await ada.due()
    await ada.due()

    assert await ada.ends() == [("first", "approved"), ("second", "frequency cap"), ("third", "approved")]


async def test_a_cart_that_is_left_again_begins_a_new_run(life):
    """What waited of the old run is dropped in the commit that begins the new one, and never comes."""
    ada = await life()
    await ada.leave()
    await ada.deliver()
    old = ada.timers["sale--c1"].event
    await ada.leave()
    await ada.fire(old)

    assert await ada.ends() == [("first", "approved"), ("second", "cart moved on"), ("first", "approved")]
    assert ada.timers["sale--c1"].event.abandonment_id == "left-2"


@pytest.mark.parametrize(
    ("when", "click", "second"),
    [
        ("clicked", True, "approved"),
        ("clicked first", False, "step condition"),
        ("not clicked", True, "step condition"),
        ("not clicked first", False, "approved"),
        ("not sent", False, "step condition"),
    ],
)
async def test_a_condition_decides_whether_a_step_is_sent(life, when, click, second):
    """What became of the earlier steps; a skipped one does not end the run."""
    ada = await life(USUAL + THREE.replace('name = "second"', f'name = "second"\nwhen = "{when}"'))
    await ada.leave()
    await ada.deliver()
    if click:
        await ada.deliver(kind=OfferClicked)
    await ada.due()
    if second == "approved":
        await ada.deliver()
    await ada.due()

    assert await ada.ends() == [("first", "approved"), ("second", second), ("third", "approved")]


@pytest.mark.parametrize(("when", "second"), [("clicked", "step condition"), ("not clicked", "approved")])
async def test_an_open_changes_no_run(life, when, second):
    """Whoever opened the mail: it is no click, and the run goes its way."""
    ada = await life(USUAL + THREE.replace('name = "second"', f'name = "second"\nwhen = "{when}"'))
    await ada.leave()
    await ada.deliver()
    [first] = [one for one in await ada.decisions() if one.outcome == "approved"]
    for by in ("person", "machine"):
        await ada.say(OfferOpened(cart_id="c1", offer_id=first.offer_id, by=by, reason="r"))
    await ada.due()
    if second == "approved":
        await ada.deliver()
    await ada.due()

    assert await ada.ends() == [("first", "approved"), ("second", second), ("third", "approved")]


async def test_the_first_step_can_wait_too(life):
    """Its delay counts from when the cart fell due."""
    ada = await life(USUAL + '[[steps]]\nname = "late"\nafter = "3h"\n')
    await ada.leave()
    begun = ada.now
    assert await ada.ends() == []
    await ada.due()

    assert (ada.now, await ada.ends()) == (begun + 3 * HOUR, [("late", "approved")])


@pytest.mark.parametrize(("again", "outcome"), [(6, "re-entry"), (8, "approved")])
async def test_a_shopper_enters_again_only_after_the_time_that_the_journey_says(life, again, outcome):
    """Once per week counts from the last offer of the run before."""
    ada = await life(USUAL + 'reentry = "once per 7d"\n[[steps]]\nname = "only"\n')
    await ada.leave()
    ada.now += again * DAY
    await ada.leave()

    assert await ada.ends() == [("only", "approved"), ("only", outcome)]


TESTED = (
    USUAL
    + """
[[steps]]
name = "first"
[[steps.variants]]
name = "a"
share = {a}
[[steps.variants]]
name = "b"
share = {b}
discount_percent = 5
"""
)


async def test_a_variant_is_on_record_and_stays_whatever_the_shares_become(life):
    """Who was sent one sees no other, until there is a winner."""
    ada = await life(TESTED.format(a=0, b=1))
    await ada.leave()
    ada.publish(TESTED.format(a=1, b=0), revision=1)
    await ada.leave()
    ada.publish(TESTED.format(a=1, b=0).replace('name = "first"', 'name = "first"\nwinner = "a"'), revision=2)
    await ada.leave()
    found = [one for one in await ada.decisions() if one.outcome == "approved"]

    assert [(one.variant, one.discount_percent) for one in found] == [("b", 5), ("b", 5), ("a", 10)]
    assert [check.value for one in found for check in one.checks if check.name == "variant"] == [
        "b (first: a 0 %, b 100 %)",
        "b (first: a 100 %, b 0 %)",
        "a (winner of first)",
    ]


async def test_the_chance_of_an_arm_is_that_of_its_variants_too(life):
    """As chance gave the variant and with it the discount; later steps are not part of the experiment."""
    ada = await life(TESTED.format(a=1, b=3) + '[[steps]]\nname = "second"\n')
    await ada.leave()
    await ada.deliver()
    await ada.due()
    first, second = [one for one in await ada.decisions() if one.outcome == "approved"]

    assert first.assignment.probability == {"a": 0.25, "b": 0.75}[first.variant]
    assert (first.assignment.withheld, first.assignment.eligible, second.assignment) == (0, True, None)


async def test_runs_under_way_move_over_or_keep_what_they_have(life):
    """As the marketer chose with the revision; the one that keeps them passes on to later ones that keep them too."""
    ada = await life()
    await ada.leave()
    await ada.deliver()
    shorter = USUAL + '[[steps]]\nname = "first"\n'
    kept = LiveJourney(journey=parse("sale", USUAL + THREE, {}), revision=0)
    ada.live._earlier["sale", 0] = kept
    ada.publish(shorter, revision=1, runs_from=0)
    ada.publish(shorter, revision=2, runs_from=0)
    await ada.due()
    assert (await ada.ends())[-1] == ("second", "approved")
    await ada.deliver()
    ada.publish(shorter, revision=3)
    await ada.due()

    assert (await ada.ends())[-1] == ("third", "step removed")
    assert [one.journey_revision for one in await ada.decisions()][-1] == 3
    assert ada.timers == {}


async def test_a_journey_that_is_turned_off_ends_runs_that_kept_their_revision_too(life):
    """Off means off."""
    ada = await life()
    await ada.leave()
    ada.publish("active = false\n" + USUAL + THREE, revision=1, runs_from=0)
    await ada.due()

    assert (await ada.ends())[-1] == ("second", "journey stopped")
    assert ada.timers == {}


async def test_a_journey_that_is_not_on_in_a_region_starts_nothing_and_ends_what_is_under_way_there(life):
    """As one that is off; runs that kept their revision end, too. It starts again where it is on again."""
    ada = await life('regions = ["us"]\n' + USUAL + THREE)
    await ada.leave()
    ada.publish('regions = ["eu"]\n' + USUAL + THREE, revision=1, runs_from=0)
    await ada.due()
    decided = len(await ada.decisions())
    await ada.leave()

    assert await ada.ends() == [("first", "approved"), ("second", "journey stopped")]
    [check] = (await ada.decisions())[decided - 1].checks
    assert (check.name, check.value) == ("journey", "sale is off in us")
    assert (len(await ada.decisions()), ada.timers) == (decided, {})

    ada.publish('regions = ["eu", "us"]\n' + USUAL, revision=2)
    await ada.leave()
    assert (await ada.decisions())[-1].outcome == "approved"


async def test_a_journey_for_abandoned_checkouts_answers_carts_whose_checkout_was_begun(life):
    """As a new one begins: not a cart that was merely filled, and not because of the checkout of another cart."""
    ada = await life(start("checkout-abandoned").replace('quiet = "22:00-08:00"', 'quiet = ""'))
    await ada.leave()
    await ada.say(CheckoutStarted(visitor_id="ada", cart_id="c2"))
    await ada.leave()
    await ada.say(CheckoutStarted(visitor_id="ada", cart_id="c1"))
    await ada.leave()

    decided = [one for one in await ada.decisions() if one.step == "reminder"]
    assert [(one.outcome, one.reason) for one in decided] == [
        ("dropped", "not in the audience"),
        ("dropped", "not in the audience"),
        ("approved", ""),
    ]
    [check] = [one for one in decided[-1].checks if one.name == "audience"]
    assert check.value == "the checkout was begun with this cart"
    assert decided[-1].discount_percent == 0


async def test_steps_that_changed_places_are_sent_once_each(life):
    """A run knows its steps by their names; a removed one gives way to what stands in its place."""
    ada = await life()
    await ada.leave()
    await ada.deliver()
    ada.publish(USUAL + '[[steps]]\nname="new"\n[[steps]]\nname="third"\n[[steps]]\nname="first"\n', revision=1)
    await ada.due()
    assert await ada.ends() == [("first", "approved"), ("second", "step removed")]
    await ada.due()

    assert (await ada.ends())[-1] == ("third", "approved")
    assert ada.timers == {}


async def test_a_journey_of_one_step_that_gets_steps_takes_its_runs_along(life):
    """What was held goes on as the first step, under the id that it had."""
    ada = await life(USUAL.replace('quiet = ""', 'quiet = "00:00-23:59"'))
    await ada.leave()
    [held] = await ada.decisions()
    ada.publish(USUAL + THREE, revision=1)
    await ada.due()

    assert (held.outcome, held.step, held.position) == ("held", "", 1)
    assert held.offer_id == derive_id("offer", "sale", "left-1")
    assert await ada.ends() == [("", "approved")]
    assert {one.offer_id for one in await ada.decisions() if one.position == 1} == {held.offer_id}
    assert ada.timers["sale--c1"].event.step == "second"


EDITS = [USUAL + "cap = 100\n" + text for text in (THREE, TESTED[len(USUAL) :].format(a=1, b=1), THREE[26:], "")]


class RandomLife:
    """A life in which anything may happen next; `bought` is how many decisions there were when the cart was bought."""

    def __init__(self, ada, chance):
        self.ada, self.chance = ada, chance
        self.fired, self.revision, self.bought = [], 0, None

    async def timer_goes_off(self):
        if timer := self.ada.timers.get("sale--c1"):
            self.fired.append(timer.event)
            await self.ada.due()
            if self.ada.timers.get("sale--c1") is timer:
                del self.ada.timers["sale--c1"]

    async def timer_is_delivered_again(self):
        if self.fired:
            await self.ada.fire(self.chance.choice(self.fired))

    async def process_dies_before_it_stores_a_decision(self):
        if timer := self.ada.timers.get("sale--c1"):
            await decide(request_of(timer.event), self.ada.mesh, self.ada.context, now=self.ada.now)

    async def journey_is_published(self):
        self.revision += 1
        keeps = self.chance.choice((None, max(0, self.revision - 2)))
        self.ada.publish(self.chance.choice(EDITS), revision=self.revision, runs_from=keeps)

    async def cart_is_left_again(self):
        self.ada.now += HOUR
        self.bought = None
        await self.ada.leave()

    async def mail_server_answers(self):
        if any(one.outcome == "approved" for one in await self.ada.decisions()):
            await self.ada.deliver(kind=self.chance.choice((OfferSent, OfferFailed)))

    async def cart_is_bought(self):
        await self.ada.say(CartConverted(cart_id="c1", order_id="o1", visitor_id="ada"))
        self.bought = len(await self.ada.decisions())


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_in_whatever_order_no_step_is_sent_twice_or_after_the_purchase(life, seed):
    """Redeliveries, edits, purchases, new abandonments and deaths between reading and storing, at random."""
    ada = await life(EDITS[0])
    await ada.leave()
    random_life = RandomLife(ada, random.Random(seed))
    happenings = [getattr(random_life, name) for name in vars(RandomLife) if not name.startswith("_")]
    for _ in range(40):
        await random_life.chance.choice([*happenings, random_life.timer_goes_off])()
        if random_life.bought is not None:
            later = (await ada.decisions())[random_life.bought :]
            assert [one for one in later if one.outcome == "approved" or one.reason == WAITING] == []
    while ada.timers:
        await random_life.mail_server_answers()
        await random_life.timer_goes_off()

    found = await ada.decisions()
    approved = Counter((one.abandonment_id, one.step) for one in found if one.outcome == "approved")
    final = Counter(one.offer_id for one in found if one.outcome != "held")
    assert approved
    assert set(approved.values()) == {1}
    assert set(final.values()) == {1}
    assert {one.offer_id for one in found} == set(final), "a step was begun and has no end"


async def test_shares_are_kept_and_few_move_when_they_are_changed(life):
    """Of 4,000 shoppers as many as the share says, within five standard deviations; only to the grown variant."""

    def all_of(*shares, experiment="x"):
        variants = [Variant(name=name, share=share) for name, share in zip("abc", shares, strict=False)]
        return [allocate_variant(f"p{at}", "sale", experiment, variants).name for at in range(4000)]

    before, after = all_of(50, 50), all_of(50, 75)
    third = all_of(50, 50, 50)

    assert abs(before.count("a") - 2000) < 5 * 32
    moved = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
    assert set(moved) == {("a", "b")}
    assert abs(len(moved) - 400) < 5 * 19
    assert all(other in (one, "c") for one, other in zip(before, third, strict=True))
    assert before != all_of(50, 50, experiment="y")
