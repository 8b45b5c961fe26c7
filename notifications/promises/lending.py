"""Lending: a region that has given away its part of a budget borrows of another's, as long as that can be heard.

What is lent leaves the lender's part before the borrower has it, both once for each loan: whatever is cut off in
between, it is in one region's part or on its way, and in no two.
"""

from datetime import datetime, timedelta

import msgspec

from mesh import Mesh, Received, Unchanged
from mesh.envelope import derive_id
from mesh.events.budget import BudgetChanged, BudgetLoanGranted, BudgetLoanReceived, BudgetLoanRequested
from mesh.money import Money
from mesh.observability.logs import log
from mesh.publish import Change
from notifications.journeys import Journey
from notifications.promises.parts import left_of, plus

PAUSE = timedelta(seconds=2)
"""How long an offer is held until it is decided again with what was borrowed."""
PATIENCE = timedelta(seconds=10)
"""How long a loan is waited for. It is added whenever it comes."""
FRESH = timedelta(seconds=5)
"""A region of which nothing was heard for longer is not asked."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A loan that is worth waiting for: of whom, and its request, where that was not made yet."""

    lender: str
    changes: tuple[Change, ...] = ()


async def wanted_loan(
    journey: Journey, missing: Money, level: Received[BudgetChanged] | None, mesh: Mesh, now: datetime
) -> Wanted | None:
    """The loan that could bring what is missing of the journey's budget; None where nobody has it, or can be heard."""
    loan_id = derive_id(mesh.region, "budget", journey.name, missing.currency, str(level.sequence if level else 0))
    asked = await mesh.last(BudgetLoanRequested, loan_id)
    if asked:
        return Wanted(lender=asked.event.lender) if now < asked.stored + PATIENCE else None
    ages, offers = await mesh.staleness(), dict[str, int]()
    for region in mesh.others:
        age = ages.get(region)
        if age is not None and age < FRESH:
            other = await mesh.last(BudgetChanged, journey.name, region=region)
            before = other.event if other else BudgetChanged(journey=journey.name)
            offers[region] = left_of(journey.budget, before, missing.currency, region, (mesh.region, *mesh.others)) or 0
    lender = max(offers, key=lambda region: (offers[region], region), default="")
    if not lender or offers[lender] < missing.amount:
        return None
    amount = max(missing.amount, offers[lender] // 2)  # so that not every offer needs a loan of its own
    loan = BudgetLoanRequested(
        loan_id=loan_id,
        journey=journey.name,
        amount=Money(amount=amount, currency=missing.currency),
        borrower=mesh.region,
        lender=lender,
    )
    return Wanted(lender=lender, changes=(loan, Unchanged(BudgetLoanRequested, loan_id, 0)))


async def grant(received: Received[BudgetLoanRequested], journey: Journey, mesh: Mesh) -> list[Change]:
    """Take as much off this region's part as is left of what is asked, also nothing, and say so; once for each loan."""
    loan = received.event
    if loan.lender != mesh.region or loan.borrower != received.region or loan.borrower == mesh.region:
        return []
    if await mesh.last(BudgetLoanGranted, loan.loan_id):
        return []
    found = await mesh.last(BudgetChanged, loan.journey)
    before = found.event if found else BudgetChanged(journey=loan.journey)
    left = left_of(journey.budget, before, loan.amount.currency, mesh.region, (mesh.region, *mesh.others)) or 0
    given = msgspec.structs.replace(loan.amount, amount=max(0, min(left, loan.amount.amount)))
    granted = BudgetLoanGranted(
        loan_id=loan.loan_id, journey=loan.journey, amount=given, borrower=loan.borrower, lender=mesh.region
    )
    changes: list[Change] = [granted, Unchanged(BudgetLoanGranted, loan.loan_id, 0)]
    if given.amount:
        changes.append(msgspec.structs.replace(before, lent=plus(before.lent, given)))
        changes.append(Unchanged(BudgetChanged, loan.journey, found.sequence if found else 0))
    return changes


async def receive(received: Received[BudgetLoanGranted], mesh: Mesh) -> list[Change]:
    """Add a loan to this region's part, once, and no more than was asked for."""
    loan = received.event
    if loan.borrower != mesh.region or loan.lender != received.region or loan.lender == mesh.region:
        return []
    asked = await mesh.last(BudgetLoanRequested, loan.loan_id)
    if asked is None or not _answers(loan, asked.event):
        log.error("a loan that was not asked for here is not added", loan=loan.loan_id, lender=loan.lender)
        return []
    if await mesh.last(BudgetLoanReceived, loan.loan_id) or not loan.amount.amount:
        return []
    found = await mesh.last(BudgetChanged, loan.journey)
    before = found.event if found else BudgetChanged(journey=loan.journey)
    return [
        BudgetLoanReceived(
            loan_id=loan.loan_id, journey=loan.journey, amount=loan.amount, borrower=loan.borrower, lender=loan.lender
        ),
        Unchanged(BudgetLoanReceived, loan.loan_id, 0),
        msgspec.structs.replace(before, borrowed=plus(before.borrowed, loan.amount)),
        Unchanged(BudgetChanged, loan.journey, found.sequence if found else 0),
    ]


def _answers(loan: BudgetLoanGranted, asked: BudgetLoanRequested) -> bool:
    return (loan.lender, loan.journey, loan.amount.currency) == (
        asked.lender,
        asked.journey,
        asked.amount.currency,
    ) and 0 <= loan.amount.amount <= asked.amount.amount
