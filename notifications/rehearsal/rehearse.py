"""Rehearse: past carts decided again with another journey, in the order of time, as if it had been in force."""

import heapq
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from secrets import token_hex

import msgspec

from mesh import Received
from mesh.events.contact import Contact
from mesh.events.offer import OfferDecided, OfferSent
from mesh.history import History
from mesh.money import Money
from notifications.conditions.fields import facts_of
from notifications.decision_context import DecisionContext
from notifications.decision_input import DecisionInput
from notifications.due_steps import DueStep, first_step
from notifications.journeys import Journey
from notifications.journeys.live import LiveJourney, LiveJourneys
from notifications.progress import Progress
from notifications.promises.promise import Promise
from notifications.promises.terms import cost_of, discount_of, habit_of
from notifications.rehearsal.past import Past, PastCart
from notifications.step_decision import EvaluatedStep, Situation, evaluate_step, step_event, wait_for_next
from notifications.templates.live import LiveTemplates

REVISION = -1
"""A rehearsed journey has no revision."""


class Rehearsed(msgspec.Struct, frozen=True, kw_only=True):
    """What would have become of one cart: its decisions in order. `open`: the run would still be under way."""

    cart: PastCart
    decisions: tuple[OfferDecided, ...]
    open: bool

    @property
    def final(self) -> tuple[OfferDecided, ...]:
        """The newest decision about each step."""
        return tuple({one.step: one for one in self.decisions}.values())


class _Run:
    """One cart's run: what was decided and sent so far."""

    def __init__(self, cart: PastCart) -> None:
        self.cart = cart
        self.decided: list[Received[OfferDecided]] = []
        self.sent: list[Received[OfferSent]] = []

    @property
    def progress(self) -> Progress:
        return Progress(decisions=tuple(self.decided))

    @property
    def history(self) -> History:
        events = [self.cart.abandoned, *self.decided, *self.sent]
        return History(self.cart.abandoned.event.cart_id, tuple(sorted(events, key=lambda one: one.time)))

    def store(self, event: OfferDecided | OfferSent, at: datetime) -> None:
        """Take an event in, as the log would."""
        number = len(self.decided) + len(self.sent) + 1
        received = Received(
            event=event,
            id=f"rehearsed-{number}",
            time=at,
            stored=at,
            region=self.cart.abandoned.region,
            sequence=self.cart.abandoned.sequence + number,
            subject="",
        )
        (self.decided if isinstance(event, OfferDecided) else self.sent).append(received)


class Rehearsal:
    """A journey and the past. Codes of its offers redeem nothing.

    `steps` yields after every step that was decided, so that others may have their turn.
    """

    def __init__(self, past: Past, journey: Journey) -> None:
        live = LiveJourney(journey=msgspec.structs.replace(journey, active=True), revision=REVISION)
        self._past, self._live = past, live
        self._context = DecisionContext(journeys=LiveJourneys([live]), templates=LiveTemplates(), secret=token_hex())
        self._contacts: dict[str, list[Contact]] = defaultdict(list)
        self._runs = [_Run(cart) for cart in past.carts]
        self._due = [(cart.at, number) for number, cart in enumerate(past.carts)]
        self._waiting: dict[int, OfferDecided] = {}
        heapq.heapify(self._due)

    def steps(self) -> Iterator[None]:
        """Decide, in the order of time, everything that was due before the end of the log."""
        while self._due and self._due[0][0] <= self._past.until:
            now, number = heapq.heappop(self._due)
            self._decide(number, now)
            yield

    def results(self) -> Iterator[Rehearsed]:
        """What became of each cart."""
        for number, run in enumerate(self._runs):
            yield Rehearsed(
                cart=run.cart, decisions=tuple(one.event for one in run.decided), open=number in self._waiting
            )

    def _decide(self, number: int, now: datetime) -> None:
        run, last = self._runs[number], self._waiting.pop(number, None)
        one = self._due_step(run.progress, last)
        inputs = self._inputs(run.cart, now)
        at = Situation(
            abandoned=run.cart.abandoned,
            history=run.history,
            scored=None,
            context=self._context,
            now=now,
            met=self._context.journeys.for_cart(facts_of(inputs, now)),
        )
        found = evaluate_step(one, inputs, at)
        promised = _promised(found, inputs)
        decided = step_event(one, found, at, promised)
        run.store(decided, now)
        if decided.outcome == "approved":
            self._contacts[inputs.person].append(self._contact(one, decided, promised.cost, now))
            for channel in decided.channels:
                sent = OfferSent(
                    cart_id=decided.cart_id,
                    visitor_id=decided.visitor_id,
                    offer_id=decided.offer_id,
                    channel=channel,
                )
                run.store(sent, now)
        waits = decided if decided.held_until else wait_for_next(one, decided, inputs, at)
        if waits is None or waits.held_until is None:
            return
        if waits is not decided:
            run.store(waits, now)
        self._waiting[number] = waits
        heapq.heappush(self._due, (max(waits.held_until, now + timedelta(milliseconds=1)), number))

    def _due_step(self, progress: Progress, last: OfferDecided | None) -> DueStep:
        if last is None:
            return first_step(self._live, progress)
        step = next((one for one in self._live.journey.listed_steps if one.name == last.step), None)
        return DueStep(run=self._live, name=last.step, position=last.position, step=step, last=last, progress=progress)

    def _inputs(self, cart: PastCart, now: datetime) -> DecisionInput:
        """What was known then, as far as time has changed it, and with this journey's contacts in place of the real."""
        others = [one for one in cart.inputs.contacts if one.journey != self._live.name]
        own = [one for one in self._contacts[cart.inputs.person] if one.at < now]
        state, detail = self._past.state_of(cart, now) if now > cart.at else (cart.inputs.cart, cart.inputs.cart_detail)
        inputs = msgspec.structs.replace(
            cart.inputs,
            cart=state,
            cart_detail=detail,
            contacts=tuple(sorted((*others, *own), key=lambda one: (one.at, one.offer_id))),
            before=(),
        )
        return msgspec.structs.replace(inputs, habit=habit_of(inputs, self._live.journey, now))

    def _contact(self, one: DueStep, decided: OfferDecided, cost: Money | None, now: datetime) -> Contact:
        return Contact(
            offer_id=decided.offer_id,
            at=now,
            journey=decided.journey,
            discount=cost,
            abandonment_id=decided.abandonment_id,
            experiment=one.step.allocation if one.step and decided.variant else "",
            variant=decided.variant,
        )


def _promised(found: EvaluatedStep, inputs: DecisionInput) -> Promise:
    """What an approved offer would give away; no budget and no code list is touched, and none runs out."""
    if found.evaluation.outcome != "approved":
        return Promise(evaluation=found.evaluation)
    discount = discount_of(found.journey, found.evaluation.discount_percent, inputs)
    cost = cost_of(discount, found.journey, inputs.total) if discount else None
    return Promise(evaluation=found.evaluation, discount=discount, cost=cost)
