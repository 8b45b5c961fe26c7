"""Random lives of one code: reserved, redeemed, released, expired in any order, by requests that come twice or late."""

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mesh.events.code import CodeChanged, Discount
from services.promotions.code_key import code_id, normalised
from services.promotions.code_state import HELD, CodeRequest, decide, expired, reservation_over, withdrawn

START = datetime(2026, 5, 1, tzinfo=UTC)
ORDERS = st.sampled_from([("o1", "us"), ("o2", "us"), ("o1", "eu"), ("o3", "eu")])
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
        asked = self.sent[pick % len(self.sent)]
        who = (asked.order_id, asked.region)
        if asked.place > self.claims.get(who, 0):  # `answer_claim` leaves older ones out
            self.claims[who] = asked.place
            self.ask(asked)

    @precondition(lambda self: self.timers)
    @rule(pick=st.integers(0, 99))
    def fire(self, pick):
        """A reservation's timer, also one that was replaced."""
        until = self.timers[pick % len(self.timers)]
        self.now = max(self.now, until)
        changed = reservation_over(self.code, until, self.now)
        if changed:
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
TestCodeLife.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_code_is_known_however_it_is_typed():
    """Case, blanks and dashes of any kind say nothing."""
    assert normalised(" back 7k3q\u2013M9xd ") == "BACK7K3QM9XD"
    assert code_id("back-7k3q") == code_id("BACK 7K3Q") != code_id("BACK-7K3R")
    assert len(code_id("x" * 10_000 + "\ud800")) == 32
