"""Promise: what an approved offer gives away is made sure of before it is decided, or the offer is held or dropped."""

from datetime import datetime, timedelta

import msgspec

from mesh import Mesh
from mesh.events.code import AssignCode, CodeAssignment, Discount
from mesh.events.offer import Check
from mesh.money import Money
from mesh.publish import Change
from notifications.decision_input import DecisionInput
from notifications.evaluation import Evaluation
from notifications.journeys import Journey
from notifications.promises.budget import reserve
from notifications.promises.terms import cost_of, customer_left, discount_of

LOOK_AGAIN = timedelta(minutes=10)
"""How long an offer is held for whose code list has run out."""
PATIENCE = timedelta(seconds=2)


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """The evaluation with what was promised; `code` is one of a list, `changes` belong into the decision's commit."""

    evaluation: Evaluation
    discount: Discount | None = None
    cost: Money | None = None
    code: str | None = None
    changes: tuple[Change, ...] = ()


async def promise(
    evaluation: Evaluation, journey: Journey, offer_id: str, inputs: DecisionInput, mesh: Mesh, now: datetime
) -> Promise:
    """Reserve the discount's cost and take a code of the journey's list. Raises Unavailable."""
    total = inputs.total
    discount = discount_of(journey, evaluation.discount_percent, inputs)
    if evaluation.outcome != "approved" or discount is None:
        return Promise(evaluation=evaluation)
    cost, changes = cost_of(discount, journey, total), ()
    left = customer_left(inputs, journey)
    if left is not None and cost.amount > left:
        value = f"{_words(cost.amount, total)} at most, {_words(left, total)} left for this shopper"
        over = _checked(evaluation, Check(name="budget", passed=False, value=value), "budget", None)
        return Promise(evaluation=over)
    if journey.budget or journey.budget_day:
        reservation = await reserve(journey, offer_id, cost, mesh, now)
        evaluation = _checked(evaluation, reservation.check, "budget", reservation.again)
        if evaluation.outcome != "approved":
            return Promise(evaluation=evaluation, changes=reservation.changes)
        changes = reservation.changes
    code = None
    if journey.code_list:
        question = AssignCode(list_name=journey.code_list, offer_id=offer_id, journey=journey.name, discount=discount)
        assigned = await mesh.ask("promotions", "assign-code", question, CodeAssignment, within=PATIENCE)
        code = assigned.code
        value = f"{assigned.left} left of {journey.code_list}" if code else f"no code is left of {journey.code_list}"
        check = Check(name="code list", passed=code is not None, value=f"{value} in {mesh.region}")
        evaluation = _checked(evaluation, check, "no code left", now + LOOK_AGAIN)
        if code is None:
            return Promise(evaluation=evaluation)
    return Promise(evaluation=evaluation, discount=discount, cost=cost, code=code, changes=changes)


def _checked(evaluation: Evaluation, check: Check, reason: str, again: datetime | None) -> Evaluation:
    """The evaluation with one more check; held until `again`, or dropped, where it failed."""
    checked = msgspec.structs.replace(evaluation, checks=(*evaluation.checks, check))
    if check.passed:
        return checked
    assignment = evaluation.assignment and msgspec.structs.replace(evaluation.assignment, eligible=False)
    return msgspec.structs.replace(
        checked,
        outcome="held" if again else "dropped",
        reason=reason,
        held_until=again,
        channels=(),
        discount_percent=0,
        assignment=assignment,
    )


def _words(minor: int, total: Money) -> str:
    return f"{Money(amount=minor, currency=total.currency).decimal()} {total.currency}"
