"""Participant: a shopper's place in each journey's experiment, and what they bought before and after.

Whoever was given an arm by chance, and would have been sent an offer otherwise, takes part, whether or not an offer was
sent or seen (`mesh/decisions/0028`). A visitor counts once for each journey: from the first such decision on, for the
time `window`. Orders are those of the same visitor.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

import msgspec

from mesh import Received
from mesh.accept import SERVER
from mesh.events.offer import OfferDecided
from mesh.events.order import OrderConfirmed, OrderPlaced
from notifications.experiment import NONE

KINDS = (OfferDecided, OrderPlaced, OrderConfirmed)
BEFORE = timedelta(days=90)
"""For how long before they took part what a visitor bought is compared."""
MOST_ORDERS = 50
MOST_AMOUNT = 1_000_000
"""A visitor's revenue above this, in minor units, counts as this: one wholesale order must not decide a result."""
MOST_EARLIER = 5
"""More earlier orders than these count as these."""
MOST_CODES = 50

REPORTED, CONFIRMED = "reported", "confirmed"
OFFER, BOUGHT, REVENUE, DISCOUNT = "offer", "bought", "revenue:", "discount:"
OF_STEP = "/"
"""Between a journey's name and a step's, in the name of the group that compares the step's variants."""
OF_VARIANTS = 0.5
"""Stands for the chance of no offer where variants are compared: they make one stratum."""


class Trial(msgspec.Struct, frozen=True, kw_only=True, array_like=True, order=True):
    """The first decision by which a visitor takes part: `withheld` is the chance that there was of no offer."""

    at: datetime
    id: str
    region: str
    arm: str
    withheld: float

    @property
    def day(self) -> date:
        """The day (UTC) on which everything of this participant counts."""
        return self.at.astimezone(UTC).date()


class Total(msgspec.Struct, frozen=True, kw_only=True, array_like=True, order=True):
    """What an order comes to, in minor units, as an event said; of two the earlier one counts."""

    at: datetime
    id: str
    amount: int
    currency: str


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order as a page reported it, and as the shop's server did or confirmed it; `coupon` as it is compared."""

    reported: Total | None = None
    confirmed: Total | None = None
    coupon: str = ""

    def merged(self, other: "Order") -> "Order":
        """Both. Commutative, associative and idempotent."""
        return Order(
            reported=_earlier(self.reported, other.reported),
            confirmed=_earlier(self.confirmed, other.confirmed),
            coupon=max(self.coupon, other.coupon),
        )

    def total(self, grade: str) -> Total | None:
        """Its total, where it counts: confirmed ones alone, or all that were reported."""
        return self.confirmed if grade == CONFIRMED else _earlier(self.reported, self.confirmed)

    @property
    def at(self) -> datetime:
        """When it was heard of first."""
        return min(one.at for one in (self.reported, self.confirmed) if one)


class Code(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a code that a visitor was given takes off: `percent` of the price, `amounts` at most; or these alone."""

    at: datetime
    percent: int = 0
    amounts: dict[str, int] = {}

    def off(self, paid: Total) -> int:
        """What it took off an order that came to `paid`, in minor units; 0 of gifts and shipping."""
        if not self.percent:
            return self.amounts.get(paid.currency, 0)
        of_price = paid.amount * self.percent // (100 - self.percent) if self.percent < 100 else 0
        return min(of_price, self.amounts.get(paid.currency, of_price))


class Participant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A visitor: their trials by group, their orders by id, and for how long after a decision orders count.

    `codes` are those that they were given, as they are compared.
    """

    window: timedelta
    trials: dict[str, Trial] = {}
    orders: dict[str, Order] = {}
    codes: dict[str, Code] = {}


def fold(record: Participant | None, events: Iterable[Received], window: timedelta) -> Participant:
    """The record after these events, whatever their order and however often each comes."""
    trials, orders = dict(record.trials if record else {}), dict(record.orders if record else {})
    codes = dict(record.codes if record else {})
    for received in events:
        match received.event:
            case OfferDecided() as decided:
                for group, arm, withheld in _arms(decided):
                    trial = Trial(at=received.time, id=received.id, region=received.region, arm=arm, withheld=withheld)
                    trials[group] = min(trials.get(group, trial), trial)
                if decided.outcome == "approved" and decided.coupon:
                    name, code = _plain(decided.coupon), _code(decided, received.time)
                    codes[name] = min(codes.get(name, code), code, key=_of_code)
            case OrderPlaced() | OrderConfirmed() as order:
                orders[order.order_id] = orders.get(order.order_id, Order()).merged(_order(received))
    newest = sorted(orders.items(), key=lambda one: (one[1].at, one[0]))[-MOST_ORDERS:]
    given = sorted(codes.items(), key=lambda one: (one[1].at, one[0]))[-MOST_CODES:]
    return Participant(
        window=window, trials=dict(sorted(trials.items())), orders=dict(sorted(newest)), codes=dict(sorted(given))
    )


def _arms(decided: OfferDecided) -> Iterator[tuple[str, str, float]]:
    """In which comparisons a decision puts its shopper: the group, the arm, and the chance of no offer.

    A journey compares offers with none. A step with variants compares these, `journey/step`: of a first step all whom
    nothing but chance decided about, of a later one those who were sent it.
    """
    given = decided.assignment
    is_eligible = given is not None and given.eligible
    if given is not None and is_eligible:
        yield decided.journey, NONE if given.arm == NONE else OFFER, given.withheld
    if decided.variant and (is_eligible if decided.position == 1 else decided.outcome == "approved"):
        yield f"{decided.journey}{OF_STEP}{decided.step}", decided.variant, OF_VARIANTS


def outcomes(record: Participant) -> Iterator[tuple[Trial, str, dict[str, int]]]:
    """Each trial with its journey and what it adds to the sums of its arm, by name.

    Names are `stratum/arm/n` and `stratum/arm/grade/metric/sum`: the stratum is the chance of no offer, grade is
    `reported` or `confirmed`, metric `bought` or `revenue:EUR`, sum one of y, yy, x, xx, xy: y is the outcome within
    the window, x the same before. Of `discount:EUR`, which is what the visitor's codes took off, x is the revenue
    before, and `ry` the product with the revenue. Where chance had no choice only `n` is counted.
    """
    for journey, trial in record.trials.items():
        found: Counter[str] = Counter()
        arm = f"{trial.withheld:.4f}/{trial.arm}"
        found[f"{arm}/n"] = 1
        if 0 < trial.withheld < 1:
            for grade in (REPORTED, CONFIRMED):
                for metric, (y, x) in _measured(record, trial, grade).items():
                    sums = {"y": y, "yy": y * y, "x": x, "xx": x * x, "xy": x * y}
                    found.update({f"{arm}/{grade}/{metric}/{name}": value for name, value in sums.items() if value})
                found.update({f"{arm}/{grade}/{name}": value for name, value in _discounts(record, trial, grade)})
        yield trial, journey, dict(found)


def _measured(record: Participant, trial: Trial, grade: str) -> dict[str, tuple[int, int]]:
    """Each metric after the trial began and before it."""
    after, before = Counter[str](), Counter[str]()
    for order in record.orders.values():
        total = order.total(grade)
        if total is None:
            continue
        if trial.at < order.at <= trial.at + record.window:
            after.update({BOUGHT: 1, f"{REVENUE}{total.currency}": total.amount})
        elif trial.at - BEFORE <= order.at <= trial.at:
            before.update({BOUGHT: 1, f"{REVENUE}{total.currency}": total.amount})
    return {
        metric: (min(after[metric], 1), min(before[metric], MOST_EARLIER))
        if metric == BOUGHT
        else (_bounded(after[metric]), _bounded(before[metric]))
        for metric in sorted({*after, *before})
    }


def _discounts(record: Participant, trial: Trial, grade: str) -> Iterator[tuple[str, int]]:
    """The sums of what codes took off the orders within the window."""
    given = Counter[str]()
    for order in record.orders.values():
        total, code = order.total(grade), record.codes.get(order.coupon)
        if total is not None and code is not None and trial.at < order.at <= trial.at + record.window:
            given[total.currency] += code.off(total)
    measured = _measured(record, trial, grade) if given else {}
    for currency, off in sorted(given.items()):
        y, (revenue, x) = _bounded(off), measured.get(f"{REVENUE}{currency}", (0, 0))
        sums = {"y": y, "yy": y * y, "ry": revenue * y, "xy": x * y}
        yield from ((f"{DISCOUNT}{currency}/{name}", value) for name, value in sums.items() if value)


def _code(decided: OfferDecided, at: datetime) -> Code:
    discount = decided.discount
    if discount is None:
        return Code(at=at, percent=decided.discount_percent)
    if discount.kind == "percentage":
        most = {discount.at_most.currency: discount.at_most.amount} if discount.at_most else {}
        return Code(at=at, percent=discount.percent, amounts=most)
    given = discount.amounts if discount.kind == "amount" else ()
    return Code(at=at, amounts={one.currency: one.amount for one in given})


def _of_code(code: Code) -> tuple[datetime, int, list[tuple[str, int]]]:
    """An order of codes, so that the record does not depend on that of the events."""
    return code.at, code.percent, sorted(code.amounts.items())


def _plain(coupon: str) -> str:
    """A code as it is compared: without case, blanks and dashes, as the shop's checkout reads it."""
    return "".join(sign for sign in coupon.upper() if sign.isalnum())


def _bounded(amount: int) -> int:
    return min(max(amount, 0), MOST_AMOUNT)


def _order(received: Received[OrderPlaced] | Received[OrderConfirmed]) -> Order:
    order = received.event
    total = Total(at=received.time, id=received.id, amount=order.total.amount, currency=order.total.currency)
    trusted = isinstance(order, OrderConfirmed) or order.by == SERVER
    coupon = _plain(order.coupon or "")
    return Order(confirmed=total, coupon=coupon) if trusted else Order(reported=total, coupon=coupon)


def _earlier(one: Total | None, other: Total | None) -> Total | None:
    return min(filter(None, (one, other)), default=None)
