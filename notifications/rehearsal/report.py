"""Report: what a rehearsal comes to: what would be sent, held and kept back, what it costs, and what would differ."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec

from mesh import Money
from mesh.channels import EMAIL
from mesh.events.offer import OfferDecided
from notifications.journeys import Journey
from notifications.progress import WAITING
from notifications.promises.terms import cost_of
from notifications.rehearsal.languages import Mail
from notifications.rehearsal.past import Past, PastCart
from notifications.rehearsal.rehearse import Rehearsed

EXAMPLES = 10


class StepCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many offers of a step, or of one of its variants, would be sent."""

    step: str
    variant: str
    offers: int


class ReasonCount(msgspec.Struct, frozen=True, kw_only=True):
    """Why carts would get no offer, or none yet, and how many."""

    outcome: str
    reason: str
    count: int


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that would be sent for a real cart, and when."""

    cart_id: str
    at: datetime
    total: Money
    decided: OfferDecided


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A cart that would end otherwise than it really did: the first step's outcome then and now, and the reasons."""

    cart_id: str
    at: datetime
    before: OfferDecided
    after: OfferDecided


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the journey would have done with `carts` carts; `Past` says what `unknown` and `left_out` are.

    `offers` would be sent to `shoppers` shoppers, `capped` were kept back by the cap; `cost` is what the discounts come
    to if everybody uses theirs. Where the journey was really in force, `compared` carts were decided by it: as many as
    before `same`, `more` get an offer only now, `fewer` only then. `mails` are the offers that go by mail.
    """

    carts: int
    unknown: int
    left_out: int
    offers: int
    shoppers: int
    held: int
    capped: int
    cost: tuple[Money, ...]
    steps: tuple[StepCount, ...]
    reasons: tuple[ReasonCount, ...]
    compared: int
    same: int
    more: int
    fewer: int
    changes: tuple[Change, ...]
    examples: tuple[Example, ...]
    mails: tuple[Mail, ...]


def report(past: Past, journey: Journey, rehearsed: Iterable[Rehearsed]) -> Report:
    """The report on a rehearsed journey."""
    offers, reasons = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    costs, shoppers = list[Money](), set[str]()
    compared, examples, mails = Counter[str](), list[Example](), list[Mail]()
    changes: dict[str, list[Change]] = {"more": [], "fewer": []}
    for one in rehearsed:
        for decided in one.final:
            if decided.outcome != "approved":
                if decided.reason != WAITING:
                    reasons[decided.outcome, decided.reason] += 1
                continue
            offers[decided.step, decided.variant] += 1
            shoppers.add(one.cart.inputs.person)
            costs.append(_cost(decided, journey))
            examples.append(_example(one.cart, decided))
            if EMAIL.name in decided.channels:
                mails.append(_mail(one.cart, decided))
        if found := _compared(one, journey.name):
            kind, change = found
            compared[kind] += 1
            if kind != "same":
                changes[kind].append(change)
    return Report(
        carts=len(past.carts),
        unknown=past.unknown,
        left_out=past.left_out,
        offers=sum(offers.values()),
        shoppers=len(shoppers),
        held=sum(count for (outcome, _), count in reasons.items() if outcome == "held"),
        capped=reasons["dropped", "frequency cap"],
        cost=tuple(one for _, one in sorted(Money.by_currency(costs).items()) if one.amount),
        steps=tuple(StepCount(step=step, variant=variant, offers=count) for (step, variant), count in offers.items()),
        reasons=tuple(
            ReasonCount(outcome=outcome, reason=reason, count=count)
            for (outcome, reason), count in sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
        ),
        compared=sum(compared.values()),
        same=compared["same"],
        more=compared["more"],
        fewer=compared["fewer"],
        changes=_newest(changes.values()),
        examples=tuple(examples[-EXAMPLES:][::-1]),
        mails=tuple(mails),
    )


def _newest(changes: Iterable[list[Change]]) -> tuple[Change, ...]:
    """Some of each kind, the newest first."""
    kept = [change for kind in changes for change in kind[-EXAMPLES // 2 :]]
    return tuple(sorted(kept, key=lambda one: one.at, reverse=True))


def _compared(one: Rehearsed, journey: str) -> tuple[str, Change] | None:
    """Whether the cart's first step ends as it really did; None where the journey did not decide about it."""
    real = min(
        (decided for decided in one.cart.decided if decided.journey == journey),
        key=lambda decided: decided.position,
        default=None,
    )
    if real is None or not one.decisions:
        return None
    first = one.final[0]
    before, after = real.outcome == "approved", first.outcome == "approved"
    kind = "same" if before == after else "more" if after else "fewer"
    return kind, Change(cart_id=first.cart_id, at=one.cart.at, before=real, after=first)


def _cost(decided: OfferDecided, journey: Journey) -> Money:
    total = decided.total or Money(amount=0, currency="EUR")
    return cost_of(decided.discount, journey, total) if decided.discount else total * 0


def _example(cart: PastCart, decided: OfferDecided) -> Example:
    return Example(cart_id=decided.cart_id, at=cart.at, total=cart.abandoned.event.total, decided=decided)


def _mail(cart: PastCart, decided: OfferDecided) -> Mail:
    template = decided.template or decided.journey
    return Mail(template=template, visitor_id=decided.visitor_id, region=cart.abandoned.region)
