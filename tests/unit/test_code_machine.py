"""Random lives of one code: reserved, redeemed, released, expired in any order, by requests that come twice or late."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mesh.events.code import CodeChanged, Discount
from services.promotions.code_key import code_id, normalised
from services.promotions.code_state import HELD, CodeRequest, decide, expired, reservation_over, withdrawn

START = datetime(2026, 5, 1, tzinfo=UTC)
ORDERS = st.sampled_from([("o1", "us"), ("o1", "eu"), ("o2", "eu")])
ACTIONS = st.sampled_from(["reserve", "redeem", "release"])


class CodeLife(RuleBasedStateMachine):
    """The home of one code. What each order was told last must never be that two of them have it."""

    def __init__(self):
        super().__init__()
        self.code = CodeChanged(
            code_id="c", code="C", state="free", discount=Discount(percent=10), expires=START + timedelta(hours=2)
        )
        self.now, self.place = START, 0
        self.sent, self.timers, self.claims = [], [], {}
        self.holding = {}
        """Who was told that they have the code, and has neither given it back nor lost it to a timer."""

    def ask(self, asked):
        before = self.code
        verdict = decide(self.code, asked, self.now)
        self.code = verdict.changed or self.code
        who = (asked.order_id, asked.region)
        if verdict.changed and verdict.outcome in ("reserved", "redeemed"):
            assert before.state == "free" or before.holder.order_id == asked.order_id
            assert self.now < self.code.expires or before.state in HELD
            self.holding = {who: verdict.outcome}
            if verdict.outcome == "reserved":
                self.timers.append(self.code.holder.until)
        elif verdict.changed and verdict.outcome == "released" and before.state in HELD:
            self.holding.pop(who)
        again = decide(self.code, asked, self.now)
        assert again.changed is None
        return verdict

    @rule(action=ACTIONS, who=ORDERS, minutes=st.integers(1, 90))
    def over_http(self, action, who, minutes):
        """A shop's server asks: its requests have no place."""
        until = self.now + timedelta(minutes=minutes)
        self.ask(CodeRequest(action=action, order_id=who[0], region=who[1], until=until))

    @rule(action=ACTIONS, who=ORDERS)
    def by_event(self, action, who):
        """A checkout asks: the event may be delivered later, or twice."""
        self.place += 1
        until = START + timedelta(days=7)
        asked = CodeRequest(action=action, order_id=who[0], region=who[1], until=until, place=self.place)
        self.sent.append(asked)

    @precondition(lambda self: self.sent)
    @rule(pick=st.integers(0, 99))
    def deliver(self, pick):
        """Any event that was sent so far."""
        asked = self.sent[-1 - pick % min(len(self.sent), 4)]
        who = (asked.order_id, asked.region)
        overtaken = asked.place <= self.claims.get(who, 0)
        if overtaken and asked.region == "us":
            return  # the home's own orders: `answer_claim` leaves them out
        before, last = self.code, self.code.holder
        self.ask(asked)
        if overtaken and last and (last.order_id, last.region) == who:
            assert self.code == before
        self.claims[who] = max(asked.place, self.claims.get(who, 0))

    @precondition(lambda self: self.timers)
    @rule(pick=st.integers(0, 99))
    def fire(self, pick):
        """A reservation's timer, also one that was replaced."""
        until = self.timers[pick % len(self.timers)]
        self.now = max(self.now, until)
        changed = reservation_over(self.code, until, self.now)
        if changed:
            assert self.now >= self.code.holder.until
            self.code, self.holding = changed, {}

    @rule(minutes=st.integers(1, 60))
    def wait(self, minutes):
        """Time goes by, and the code may expire."""
        self.now += timedelta(minutes=minutes)
        self.code = expired(self.code, self.now) or self.code

    @rule()
    def withdraw(self):
        """The offer is withdrawn."""
        self.code = withdrawn(self.code, "unsubscribed") or self.code

    @invariant()
    def at_most_one_has_it(self):
        """And the state names that one."""
        assert len(self.holding) <= 1
        if self.code.state in HELD:
            holder = (self.code.holder.order_id, self.code.holder.region)
            assert self.holding == {holder: self.code.state}
        else:
            assert self.holding == {}


TestCodeLife = CodeLife.TestCase
TestCodeLife.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_a_code_is_known_however_it_is_typed():
    """Case, blanks and dashes of any kind say nothing."""
    assert normalised(" back 7k3q\u2013M9xd ") == "BACK7K3QM9XD"
    assert code_id("back-7k3q") == code_id("BACK 7K3Q") != code_id("BACK-7K3R")
    assert len(code_id("x" * 10_000 + "\ud800")) == 32


FREE = CodeChanged(code_id="c", code="C", state="free", discount=Discount(percent=10))


def asked(action, place, minutes=30):
    return CodeRequest(action=action, order_id="o1", region="eu", until=START + timedelta(minutes=minutes), place=place)


@pytest.mark.parametrize("first", ["reserve", "redeem"])
def test_a_request_that_was_overtaken_by_a_release_is_void(first):
    """Whether the release came to a code that was free, or to one that the order had."""
    released = decide(FREE, asked("release", 2), START)
    held = decide(FREE, asked("reserve", 1), START).changed
    given_back = decide(held, asked("release", 3), START)

    for verdict, late in ((released, asked(first, 1)), (given_back, asked(first, 2))):
        assert verdict.outcome == "released"
        assert decide(verdict.changed, late, START).changed is None
        assert decide(verdict.changed, asked(first, 4), START).changed is not None


def test_a_reservation_that_was_made_longer_does_not_end_by_its_first_timer():
    """Only by its own."""
    held = decide(FREE, asked("reserve", 0, minutes=10), START).changed
    longer = decide(held, asked("reserve", 0, minutes=60), START).changed
    then = START + timedelta(minutes=10)

    assert reservation_over(longer, then, then) is None
    assert reservation_over(longer, longer.holder.until, longer.holder.until).state == "free"
