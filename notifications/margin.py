"""Margin: which discount leaves the shop the most money, as far as offers made so far have shown."""

import msgspec

from mesh.events.user import Advice
from mesh.money import Money, minor_digits
from notifications.decision_input import DecisionInput
from notifications.journeys import Journey
from notifications.journeys.texts import amounts
from notifications.promises.terms import fixed_percent


class DiscountChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The discount in whole percent that is worth it (0: a reminder), None when no offer is; and why, as text."""

    percent: int | None
    explanation: str


def own_discount(inputs: DecisionInput, journey: Journey) -> int:
    """The journey's own discount in whole percent: none for those who return unaided, never above the limits."""
    if _returns_unaided(inputs, journey) or inputs.habit:
        return 0
    fixed = fixed_percent(journey, inputs.total)
    return min(journey.discount_percent, _most(inputs, journey)) if fixed is None else fixed


def allowed_discounts(inputs: DecisionInput, journey: Journey) -> tuple[int, ...]:
    """The discounts in whole percent that the marketer allows for this cart, rising; never empty.

    Where every one of `discount_depths` is above a limit, the limit itself is the only one.
    """
    if _returns_unaided(inputs, journey) or inputs.habit:
        return (0,)
    if (fixed := fixed_percent(journey, inputs.total)) is not None:
        return (fixed,)
    most = _most(inputs, journey)
    wanted = journey.discount_depths or (journey.discount_percent,)
    return tuple(sorted({depth for depth in wanted if depth <= most})) or (most,)


def choose_discount(inputs: DecisionInput, journey: Journey) -> DiscountChoice:
    """The allowed discount of the highest expected net margin, if that is above the margin without an offer.

    An offer of depth d is worth p_d (margin - d) value - cost, none p_0 margin value, where p are the advice's
    probabilities of a purchase. Without advice for any allowed depth it is the journey's own discount.
    """
    advice, own = inputs.advice, own_discount(inputs, journey)
    if advice is None:
        return DiscountChoice(
            percent=own, explanation=f"{own} %, as the journey says: not known yet what offers change"
        )
    known = {arm.discount_percent: arm.purchase for arm in advice.arms}
    gains = {
        depth: margin_gain(inputs.total, journey, advice, depth)
        for depth in allowed_discounts(inputs, journey)
        if depth in known
    }
    if not gains:
        return DiscountChoice(
            percent=own, explanation=f"{own} %, as the journey says: no allowed discount was tried yet"
        )
    best = max(gains, key=lambda depth: (gains[depth], -depth))
    explanation = (
        f"{best} %: {known[best]:.1%} buy instead of {advice.unaided:.1%}, "
        f"{_money(gains[best], inputs.total.currency)} margin; {advice.explanation}"
    )
    return DiscountChoice(percent=best if gains[best] > 0 else None, explanation=explanation)


def margin_gain(total: Money, journey: Journey, advice: Advice, depth: int) -> float:
    """What an offer of this depth is expected to add to the margin of a cart, in minor units of its currency.

    ValueError where the advice does not cover the depth.
    """
    bought = next((arm.purchase for arm in advice.arms if arm.discount_percent == depth), None)
    if bought is None:
        raise ValueError(f"no advice on a discount of {depth} %")
    cost = amounts(journey.contact_cost).get(total.currency)
    left, kept = journey.margin_percent - depth, journey.margin_percent
    return (bought * left - advice.unaided * kept) / 100 * total.amount - (cost.amount if cost else 0)


def _returns_unaided(inputs: DecisionInput, journey: Journey) -> bool:
    return inputs.propensity is not None and inputs.propensity >= journey.no_discount_from


def _most(inputs: DecisionInput, journey: Journey) -> int:
    limit = amounts(journey.max_discount).get(inputs.total.currency)
    if limit is None or inputs.total.amount <= 0:
        return journey.max_discount_percent
    return min(journey.max_discount_percent, limit.amount * 100 // inputs.total.amount)


def _money(minor: float, currency: str) -> str:
    digits = minor_digits(currency)
    return f"{minor / 10**digits:+.{digits}f} {currency}"
