"""Budget: reserve what an offer may cost in this region's part, and settle it when its code was redeemed or expired.

A region spends of its own part alone, so the whole is never exceeded, whichever regions are cut off. Reserving is a
condition on one exact subject in the commit of the decision: of two decisions at one moment the second is made again.
"""

from datetime import UTC, datetime, timedelta

import msgspec

from mesh import Mesh, Received, Unchanged
from mesh.events.budget import BudgetChanged, BudgetReservationChanged, BudgetState
from mesh.events.code import CodeChanged, CodeState
from mesh.events.offer import Check
from mesh.money import Money
from mesh.publish import Change
from notifications.journeys import Journey
from notifications.journeys.texts import amounts
from notifications.promises.lending import PAUSE, wanted_loan
from notifications.promises.parts import left_of, part_of, plus

STATES: dict[CodeState, BudgetState] = {
    "free": "reserved",
    "reserved": "reserved",
    "redeemed": "spent",
    "expired": "given_back",
    "withdrawn": "given_back",
}
"""What an offer has of the budget, by the state of its code."""


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there is enough for an offer: the check, what to store with its decision, and when to try again."""

    check: Check
    changes: tuple[Change, ...] = ()
    again: datetime | None = None


async def reserve(journey: Journey, offer_id: str, cost: Money, mesh: Mesh, now: datetime) -> Reservation:
    """Reserve what an offer may cost, where this region's part of the journey's budget has that left."""
    found = await mesh.last(BudgetChanged, journey.name)
    before = found.event if found else BudgetChanged(journey=journey.name)
    day = f"{now.astimezone(UTC):%Y-%m-%d}"
    today = before.today if before.day == day else ()
    regions = (mesh.region, *mesh.others)
    left = left_of(journey.budget, before, cost.currency, mesh.region, regions)
    left_today = left_of(
        journey.budget_day, BudgetChanged(journey="", committed=today), cost.currency, mesh.region, regions
    )
    value = ", ".join(
        [f"{_words(cost)} at most"]
        + [
            f"{_words(cost, one)} left {words}"
            for one, words in ((left, "of all"), (left_today, "today"))
            if one is not None
        ]
    )
    if left is not None and cost.amount > left:
        missing = Money(amount=cost.amount - left, currency=cost.currency)
        loan = await wanted_loan(journey, missing, found, mesh, now)
        if loan is None:
            return Reservation(check=Check(name="budget", passed=False, value=f"{value}, in {mesh.region}"))
        value += f", in {mesh.region}; {loan.lender} is asked for more"
        check = Check(name="budget", passed=False, value=value)
        return Reservation(check=check, changes=loan.changes, again=now + PAUSE)
    if left_today is not None and cost.amount > left_today:
        tomorrow = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)
        return Reservation(check=Check(name="budget", passed=False, value=f"{value}, in {mesh.region}"), again=tomorrow)
    changed = msgspec.structs.replace(
        before,
        committed=plus(before.committed, cost),
        day=day,
        today=plus(today, cost),
        budget=_parts(journey.budget, mesh),
        budget_day=_parts(journey.budget_day, mesh),
    )
    held = BudgetReservationChanged(offer_id=offer_id, journey=journey.name, cost=cost, day=day, state="reserved")
    conditions = (
        Unchanged(BudgetChanged, journey.name, found.sequence if found else 0),
        Unchanged(BudgetReservationChanged, offer_id, 0),
    )
    return Reservation(check=Check(name="budget", passed=True, value=value), changes=(changed, held, *conditions))


async def settle(received: Received[CodeChanged], mesh: Mesh) -> list[Change]:
    """What becomes of an offer's reservation when its code changes; older and repeated states change nothing."""
    code = received.event
    found = await mesh.last(BudgetReservationChanged, code.offer_id)
    if found is None or found.event.place >= received.sequence:
        return []
    before, wanted = found.event, STATES[code.state]
    after = msgspec.structs.replace(before, state=wanted, place=received.sequence)
    changes: list[Change] = [after, Unchanged(BudgetReservationChanged, code.offer_id, found.sequence)]
    if wanted == before.state:
        return changes
    level = await mesh.last(BudgetChanged, before.journey)
    if level is None:
        return changes
    committed = (wanted != "given_back") - (before.state != "given_back")
    spent = (wanted == "spent") - (before.state == "spent")
    same_day = level.event.day == before.day
    changed = msgspec.structs.replace(
        level.event,
        committed=plus(level.event.committed, before.cost * committed),
        today=plus(level.event.today, before.cost * (committed if same_day else 0)),
        spent=plus(level.event.spent, before.cost * spent),
    )
    return [*changes, changed, Unchanged(BudgetChanged, before.journey, level.sequence)]


def _parts(budget: tuple[str, ...], mesh: Mesh) -> tuple[Money, ...]:
    """A budget's part of this region, in each currency."""
    whole = amounts(budget).values()
    return tuple(
        Money(amount=part_of(one, mesh.region, (mesh.region, *mesh.others)), currency=one.currency) for one in whole
    )


def _words(cost: Money, amount: int | None = None) -> str:
    shown = cost if amount is None else msgspec.structs.replace(cost, amount=amount)
    return f"{shown.decimal()} {shown.currency}"
