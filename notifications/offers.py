"""Decides for every left cart and journey on an offer: approved, held or dropped, with every check and its value."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from mesh import Mesh, Received, Service
from mesh.binding import Interest
from mesh.events.budget import (
    BudgetChanged,
    BudgetLoanGranted,
    BudgetLoanReceived,
    BudgetLoanRequested,
    BudgetReservationChanged,
)
from mesh.events.cart import CartAbandoned, CartScored
from mesh.events.code import CodeChanged
from mesh.events.contact import ContactReserved
from mesh.events.offer import OfferDecided, OfferDue, OfferRecovered, OfferTriggered
from mesh.events.trigger import TriggerChecked
from mesh.profiles import PROFILES
from mesh.publish import Change
from mesh.settings import Secret, read
from notifications.decision import decide
from notifications.decision_context import DecisionContext, DecisionRequest
from notifications.documents.following import following
from notifications.documents.seeding import seed
from notifications.journeys.kind import JOURNEYS
from notifications.journeys.live import LiveJourneys
from notifications.promises.budget import settle
from notifications.promises.lending import grant, receive
from notifications.promises.settling import Settling
from notifications.suppressions import SUPPRESSIONS
from notifications.templates.kind import TEMPLATES
from notifications.templates.live import LiveTemplates
from notifications.triggers.checking import Checks, TriggerSettings, check_triggers

BUDGET_EVENTS = (
    BudgetChanged,
    BudgetReservationChanged,
    BudgetLoanRequested,
    BudgetLoanGranted,
    BudgetLoanReceived,
)
service = Service(
    "offers",
    publishes=(
        *(OfferDecided, OfferDue, OfferTriggered, OfferRecovered, TriggerChecked),
        *(ContactReserved, *BUDGET_EVENTS),
    ),
    timers=(OfferDue,),
    asks=("promotions", "scoring"),
    buckets=(JOURNEYS.bucket, TEMPLATES.bucket),
    views=(PROFILES, SUPPRESSIONS),
    reads_personal_data=True,
    secrets=("secret", "address_secret"),
)

REDELIVERED_AFTER = timedelta(seconds=10)
"""How long after a crash another process gets the unacknowledged messages."""


class OfferSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`journeys` and `templates` are folders of files for empty buckets, by default those that come with Cartmesh.

    `secret` keys coupons and links.
    """

    secret: Secret
    journeys: str = ""
    templates: str = ""


@service.resource
async def open_decision_context(mesh: Mesh) -> AsyncIterator[DecisionContext]:
    """The journeys and templates in force, which may change while this runs, and the secret."""
    settings = read(OfferSettings)
    await seed(TEMPLATES, settings.templates, mesh)
    await seed(JOURNEYS, settings.journeys, mesh)
    journeys, templates = LiveJourneys(), LiveTemplates()
    async with following(TEMPLATES, templates.use, mesh), following(JOURNEYS, journeys.use, mesh):
        yield DecisionContext(journeys=journeys, templates=templates, secret=settings.secret)


@service.resource
async def open_settling(mesh: Mesh, interest: Interest) -> AsyncIterator[Settling]:
    """Whether codes are delivered to `settle_budget`."""
    settling = Settling(mesh, partial(interest.want, settle_budget))
    await settling.begin()
    yield settling


@service.resource
async def plan_checks() -> AsyncIterator[Checks]:
    """When it is looked for what triggers journeys next."""
    yield Checks(read(TriggerSettings).trigger_check)


@service.every(timedelta(seconds=1))
async def look_for_triggers(tick: datetime, mesh: Mesh, context: DecisionContext, checks: Checks) -> None:
    """Start the runs of journeys that something else than a left cart starts; nothing where no such journey is on."""
    if checks.is_due(tick):
        await check_triggers(context.journeys, mesh, tick)


@service.on(CartAbandoned, concurrency=256, ack_wait=REDELIVERED_AFTER)
async def await_score(
    received: Received[CartAbandoned], mesh: Mesh, context: DecisionContext, settling: Settling
) -> AsyncIterator[Change]:
    """Wait for the cart's score only so long, then decide without it.

    The message is the timer: it is acknowledged once there is a score or a decision, and delivered to another process
    if this one ends. Those that wait in the stream grow late there, so that none waits here for longer than it has to.
    """
    limit = context.journeys.shortest_score_limit(mesh.region)
    left = received.stored + limit - datetime.now(UTC)
    await asyncio.sleep(min(left, limit).total_seconds())  # this clock may be behind the server's
    scored = await mesh.last(CartScored, received.event.cart_id)
    if scored and scored.event.abandonment_id == received.id:
        # Also where that decision is late: two at once refuse each other, which makes a busy process later still.
        return  # `decide_scored_offer` decides
    request = DecisionRequest(
        cart_id=received.event.cart_id, abandonment_id=received.id, attempt=1, asked=received.stored
    )
    changes = await decide(request, mesh, context, delivery=received.attempt)
    await settling.before(changes)
    for change in changes:
        yield change


@service.on(CartScored, concurrency=32, ack_wait=REDELIVERED_AFTER)
async def decide_scored_offer(
    received: Received[CartScored], mesh: Mesh, context: DecisionContext, settling: Settling
) -> AsyncIterator[Change]:
    """Decide as soon as the score is there."""
    scored = received.event
    request = DecisionRequest(
        cart_id=scored.cart_id,
        abandonment_id=scored.abandonment_id,
        attempt=1,
        scored=scored,
        asked=received.stored,
    )
    changes = await decide(request, mesh, context, delivery=received.attempt)
    await settling.before(changes)
    for change in changes:
        yield change


@service.on(OfferTriggered, OfferDue, concurrency=32, ack_wait=REDELIVERED_AFTER)
async def decide_due_offer(
    received: Received[OfferTriggered | OfferDue], mesh: Mesh, context: DecisionContext, settling: Settling
) -> AsyncIterator[Change]:
    """Decide at once about what a trigger found; about a step when its time has come; and about an offer once more."""
    changes = await decide(_request(received), mesh, context, delivery=received.attempt)
    await settling.before(changes)
    for change in changes:
        yield change


def _request(received: Received[OfferTriggered | OfferDue]) -> DecisionRequest:
    due = received.event
    if isinstance(due, OfferTriggered):
        return DecisionRequest(
            cart_id=due.cart_id, abandonment_id=received.id, attempt=1, trigger=due.trigger, asked=received.stored
        )
    return DecisionRequest(
        cart_id=due.cart_id,
        abandonment_id=due.abandonment_id,
        attempt=due.attempt,
        journey=due.journey,
        step=due.step,
        position=due.position,
        asked=received.time,
        trigger=due.trigger,
    )


@service.on(CodeChanged, concurrency=8, as_wanted=True)
async def settle_budget(received: Received[CodeChanged], mesh: Mesh) -> AsyncIterator[Change]:
    """What an offer has reserved of its journey's budget is spent with its code, or given back when that expired."""
    if received.event.offer_id:
        for change in await settle(received, mesh):
            yield change


@service.on(BudgetLoanRequested, reach="mesh", concurrency=4)
async def grant_budget_loan(
    received: Received[BudgetLoanRequested], mesh: Mesh, context: DecisionContext
) -> AsyncIterator[Change]:
    """What another region wants of a journey's budget, and is left here, is taken off for it."""
    live = context.journeys.get(received.event.journey)
    if live is not None:
        for change in await grant(received, live.journey, mesh):
            yield change


@service.on(BudgetLoanGranted, reach="mesh", concurrency=4)
async def receive_budget_loan(received: Received[BudgetLoanGranted], mesh: Mesh) -> AsyncIterator[Change]:
    """What another region has taken off for this one is added to its part."""
    for change in await receive(received, mesh):
        yield change
