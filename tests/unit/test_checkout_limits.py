"""Time limits of a checkout: each step has its own, however few timers there are."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mesh import Cancel, Money, Timer
from mesh.events.checkout import CheckoutAdvanced, CheckoutStepDue
from services.checkout.limits import limited
from services.checkout.steps import CheckoutSettings, table

STEPS = table(CheckoutSettings())
NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def waiting(step, before=None, **changes):
    """The state of a checkout that has just requested a step."""
    first = CheckoutAdvanced(order_id="o1", step=step, total=Money(amount=1, currency="EUR"), payment_method="m")
    state = before or first
    return msgspec.structs.replace(state, step=step, requested=step, asked={**state.asked, step: 1}, **changes)


def timers(changes):
    return [(one.event.step, one.event.attempt, one.at) for one in changes if isinstance(one, Timer)]


def test_a_checkout_that_is_answered_soon_has_three_timers():
    """30 s for the stock, 2 s for the fraud check; the timer behind it watches all that is requested after it."""
    reserve, first = limited(waiting("reserve"), STEPS, at(0))
    check, second = limited(waiting("check", reserve), STEPS, at(0.1))
    authorise, third = limited(waiting("authorise", check), STEPS, at(0.2))
    confirm, fourth = limited(waiting("confirm", authorise), STEPS, at(0.3))
    capture, fifth = limited(waiting("capture", confirm), STEPS, at(0.4))
    finished, last = limited(msgspec.structs.replace(capture, step="finished"), STEPS, at(0.5))

    assert timers(first) == [("reserve", 1, at(30))]
    assert timers(second) == [("check", 1, at(2.1))]
    assert timers(third) == [("authorise", 0, at(30.2))]
    assert (fourth, fifth) == ([], [])
    assert (capture.limit, capture.timer) == (at(60.4), at(30.2))
    assert (finished.limit, finished.timer, last) == (None, None, [Cancel(CheckoutStepDue, "o1")])


@pytest.mark.parametrize(("late", "attempt", "next_"), [(30.2, 0, 60.2), (31.0, 1, 60.4), (59.0, 1, 60.4)])
def test_a_timer_that_goes_off_before_the_limit_is_set_again(late, attempt, next_):
    """The present step may take as long as was declared, and no longer."""
    authorise, _ = limited(waiting("authorise"), STEPS, at(0.2))
    capture, _ = limited(waiting("capture", authorise), STEPS, at(0.4))

    over = msgspec.structs.replace(capture, timer=None, requested=None)
    state, changes = limited(over, STEPS, at(late))

    assert timers(changes) == [("capture", attempt, at(next_))]
    assert (state.limit, state.timer) == (at(60.4), at(next_))


def test_a_limit_that_is_over_when_it_is_set_is_over_at_once():
    """As when the service was away for a while."""
    check, _ = limited(waiting("check"), STEPS, at(0))

    state, changes = limited(msgspec.structs.replace(check, timer=None, requested=None), STEPS, at(100))

    assert (timers(changes), state.limit) == ([("check", 1, at(100))], at(2))


def test_what_changes_nothing_sets_no_timer():
    """An old answer, and the state of a release that wrote no limits, whose own timer is on its way."""
    check, _ = limited(waiting("check"), STEPS, at(0))
    again, none = limited(msgspec.structs.replace(check, requested=None), STEPS, at(1))
    older = msgspec.structs.replace(waiting("check"), requested=None)

    assert (again, none) == (msgspec.structs.replace(check, requested=None), [])
    assert limited(older, STEPS, at(1)) == (older, [])


def test_a_parked_checkout_has_no_limit():
    """Nobody is asked again while somebody is to decide."""
    check, _ = limited(waiting("check"), STEPS, at(0))

    parked, changes = limited(msgspec.structs.replace(check, parked="why"), STEPS, at(1))

    assert (parked.limit, parked.timer, changes) == (None, None, [Cancel(CheckoutStepDue, "o1")])
