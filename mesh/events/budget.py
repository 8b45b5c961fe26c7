"""Budgets of journeys: what may still be given away in a region, and what each offer has reserved of it.

A budget is divided among the regions in equal parts, so that a region that is cut off knows what it may spend; while
regions hear each other they lend each other what they have left. An
offer's discount is reserved at its worst case in one commit with the decision, and given back when its code expired.
"""

from typing import Literal

from mesh.event import Event, event
from mesh.money import Money

BudgetState = Literal["reserved", "spent", "given_back"]


@event(key="journey")
class BudgetChanged(Event):
    """What a journey has committed in this region, whole: reserved for offers, or spent, in each currency.

    `today` is what of it was committed on `day` (UTC), `spent` what was redeemed. What was
    `borrowed` from other regions and `lent` to them changes the region's part. `budget` and `budget_day` are the
    region's parts, as they were when something was reserved last.
    """

    journey: str
    committed: tuple[Money, ...] = ()
    day: str = ""
    today: tuple[Money, ...] = ()
    spent: tuple[Money, ...] = ()
    borrowed: tuple[Money, ...] = ()
    lent: tuple[Money, ...] = ()
    budget: tuple[Money, ...] = ()
    budget_day: tuple[Money, ...] = ()


@event(key="offer_id")
class BudgetReservationChanged(Event):
    """What an offer has of its journey's budget: `cost` at most. `place` is that of the code's newest state."""

    offer_id: str
    journey: str
    cost: Money
    day: str
    state: BudgetState
    place: int = 0


@event(key="loan_id")
class BudgetLoanRequested(Event):
    """A region asks another one, `lender`, for some of what that has left of a journey's budget."""

    loan_id: str
    journey: str
    amount: Money
    borrower: str
    lender: str


@event(key="loan_id")
class BudgetLoanGranted(Event):
    """A lender has taken an amount off its own part for a borrower. 0: it has none left."""

    loan_id: str
    journey: str
    amount: Money
    borrower: str
    lender: str


@event(key="loan_id")
class BudgetLoanReceived(Event):
    """A borrower has added a loan to its own part."""

    loan_id: str
    journey: str
    amount: Money
    borrower: str
    lender: str
