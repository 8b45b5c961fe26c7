"""Winner: which variant of a step its rule would choose by what is known now, and why none yet."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import msgspec

from notifications.experiments.effect import ALPHA, LEAST_EVENTS, Effect, effect
from notifications.journeys.steps import Step
from notifications.studio.experiment_pages.guardrails import GUARDRAILS, harm
from notifications.studio.experiment_pages.variants import VariantResult


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The winner, empty where there is none yet, and why, as a sentence."""

    winner: str
    words: str


def choose(step: Step, results: Sequence[VariantResult]) -> Choice:
    """What a step's rule says: the variant that is known to be better than each other one and harms nothing.

    Every pair is compared in both directions, by intervals that hold on all days together and share the chance of
    5 % to be wrong. A variant without a share, or that the journey has no more, is not compared.
    """
    known = {one.name: one for one in results}
    names = [one.name for one in step.variants if one.share > 0]
    found = {name: known[name] for name in names if name in known}
    smallest = min((found[name].arm.participants if name in found else 0 for name in names), default=0)
    fewest = min((found[name].arm.bought if name in found else 0 for name in names), default=0)
    if smallest < step.winner_size or fewest < LEAST_EVENTS:
        return Choice(
            winner="",
            words=f"Each variant needs {step.winner_size:,} shoppers, of whom {LEAST_EVENTS} bought: the smallest has "
            f"{smallest:,}, and the fewest that bought are {fewest:,}.",
        )
    alpha = ALPHA / len(list(combinations(names, 2)))
    currency = _main_currency(found)
    for name in names:
        others = [found[other] for other in names if other != name]
        if all(_is_better(found[name], other, step.choose_winner, currency, alpha) for other in others):
            return _guarded(found[name], others, step.choose_winner, alpha)
    return Choice(winner="", words=f"It is not known yet which variant brings the most {step.choose_winner}.")


def _guarded(best: VariantResult, others: Sequence[VariantResult], judge: str, alpha: float) -> Choice:
    """The best one, unless it is known to do harm."""
    harmed = [
        GUARDRAILS[name].lower()
        for name in GUARDRAILS
        if any(_is_positive(harm(other.mails, best.mails, name, alpha=alpha)) for other in others)
    ]
    if any(_loses_margin(best, other, alpha) for other in others):
        harmed.append("margin")
    if harmed:
        words = f"{best.name} brings the most {judge} and does harm ({', '.join(harmed)}): choose by hand."
        return Choice(winner="", words=words)
    return Choice(winner=best.name, words=f"{best.name} is known to bring the most {judge}.")


def _is_better(one: VariantResult, other: VariantResult, judge: str, currency: str, alpha: float) -> bool:
    if judge == "orders":
        return _is_positive(effect([(other.orders, one.orders)], alpha=alpha))
    if currency not in one.margins or currency not in other.margins:
        return False
    return _is_positive(effect([(other.margins[currency], one.margins[currency])], alpha=alpha))


def _loses_margin(one: VariantResult, other: VariantResult, alpha: float) -> bool:
    """Whether it is known to leave less in some currency."""
    compared = (
        effect([(other.margins[currency], sums)], alpha=alpha)
        for currency, sums in one.margins.items()
        if currency in other.margins
    )
    return any(found is not None and found.high < 0 for found in compared)


def _is_positive(found: Effect | None) -> bool:
    return found is not None and found.low > 0


def _main_currency(found: Mapping[str, VariantResult]) -> str:
    """The one that most was earned in: amounts of different currencies cannot be added."""
    earned: dict[str, float] = {}
    for one in found.values():
        for currency, sums in one.margins.items():
            earned[currency] = earned.get(currency, 0.0) + sums.y
    return max(sorted(earned), key=lambda currency: earned[currency], default="")
