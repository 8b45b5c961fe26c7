"""Variants: what the variants of a journey's steps bring and cost, each against the first one."""

from collections import defaultdict
from datetime import date, timedelta

import msgspec

from mesh import Money
from notifications.exact_sums import Figures, total
from notifications.experiments.effect import ALPHA, Effect, Sums, effect, enough
from notifications.experiments.participant import BOUGHT, CONFIRMED, OF_STEP, OF_VARIANTS, REPORTED
from notifications.studio.decision_pages.words import money
from notifications.studio.experiment_pages.guardrails import GUARDRAILS, Mails, harm, mails_of_variants
from notifications.studio.experiment_pages.margins import Margin, currencies_of
from notifications.studio.experiment_pages.result import SHOPPERS, Arm, Read, is_ripe

NOTHING_MAILED = Mails()


class VariantResult(msgspec.Struct, frozen=True, kw_only=True):
    """A variant: how many were given it and bought, what is left of that by currency, and what became of its mails.

    `effect` is how many more orders it brings than the first one, per shopper, and `margin_effects` how much more
    margin, in minor units; none of the first variant and of those that are too small to say anything. `harms` are the
    guardrails by which it is known to be worse than the first.
    """

    name: str
    arm: Arm
    orders: Sums
    margins: dict[str, Sums]
    mails: Mails
    effect: Effect | None = None
    margin_effects: dict[str, Effect] = {}
    harms: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The difference to the first variant, per 100 shoppers; empty where nothing can be said."""
        if self.effect is None:
            return ""
        low, high = (f"{SHOPPERS * value:+.1f}" for value in (self.effect.low, self.effect.high))
        return f"{SHOPPERS * self.effect.estimate:+.1f} orders ({low} to {high})"

    @property
    def verdict(self) -> str:
        """What is known."""
        if self.effect is None:
            return ""
        if not self.effect.is_known:
            return "no difference is known yet"
        return "better" if self.effect.low > 0 else "worse"

    @property
    def margin_words(self) -> str:
        """The margin per 100 shoppers, in each currency."""
        found = [_amount(sums.mean, currency) for currency, sums in self.margins.items() if sums.n]
        return ", ".join(found)

    @property
    def margin_differences(self) -> list[str]:
        """The difference of margin to the first variant, per 100 shoppers, in each currency."""
        return [
            f"{_amount(one.estimate, currency, signed=True)} "
            f"({_amount(one.low, currency, signed=True)} to {_amount(one.high, currency, signed=True)})"
            for currency, one in self.margin_effects.items()
        ]

    @property
    def loses_margin(self) -> bool:
        """Whether it is known to leave less than the first one in some currency."""
        return any(one.high < 0 for one in self.margin_effects.values())


class StepVariants(msgspec.Struct, frozen=True, kw_only=True):
    """The variants of a step, by name."""

    step: str
    variants: tuple[VariantResult, ...]


def variants_of(
    journey: str,
    read: Read,
    today: date,
    window: timedelta,
    *,
    margin: Margin | None = None,
    offers: Figures | None = None,
) -> list[StepVariants]:
    """The variants of a journey's steps, of everybody whose time to buy is over, in the order of the steps' names.

    Without `margin` nothing is said of margins. `offers` are the figures of the journey's offers.
    """
    by_step: dict[str, list[Figures]] = defaultdict(list)
    for (_, day), groups in read.items():
        for group, figures in groups.items():
            name, found, step = group.partition(OF_STEP)
            if found and name == journey and is_ripe(day, today, window):
                by_step[step].append(figures)
    return [
        StepVariants(step=step, variants=_compared(step, total(many), margin, offers or {}))
        for step, many in sorted(by_step.items())
    ]


def _compared(step: str, figures: Figures, margin: Margin | None, offers: Figures) -> tuple[VariantResult, ...]:
    stratum = f"{OF_VARIANTS:.4f}"
    names = sorted({name.split("/")[1] for name in figures if name.endswith("/n")})
    grade = CONFIRMED if any(f"/{CONFIRMED}/" in name for name in figures) else REPORTED
    currencies, mails = currencies_of(figures, grade), mails_of_variants(offers, step, names)
    found = []
    for name in names:
        n, arm = figures.get(f"{stratum}/{name}/n", 0), f"{stratum}/{name}/{grade}"
        one = VariantResult(
            name=name,
            arm=Arm(participants=n, bought=figures.get(f"{arm}/{BOUGHT}/y", 0)),
            orders=_sums(figures, f"{arm}/{BOUGHT}", n),
            margins={each: margin.sums(figures, arm, each, n) for each in currencies} if margin else {},
            mails=mails[name],
        )
        found.append(_against(found[0], one, len(names)) if found else one)
    return tuple(found)


def _against(first: VariantResult, one: VariantResult, count: int) -> VariantResult:
    """Each of several comparisons has its part of the chance to be wrong."""
    alpha = ALPHA / max(count - 1, 1)
    harms = tuple(
        name
        for name in GUARDRAILS
        if (found := harm(first.mails, one.mails, name, alpha=alpha)) is not None and found.low > 0
    )
    if not enough([(each.arm.participants, each.arm.bought) for each in (first, one)]):
        return msgspec.structs.replace(one, harms=harms)
    margins = {
        currency: found
        for currency, sums in one.margins.items()
        if (found := effect([(first.margins[currency], sums)], alpha=alpha)) is not None
    }
    found = effect([(first.orders, one.orders)], alpha=alpha)
    return msgspec.structs.replace(one, effect=found, margin_effects=margins, harms=harms)


def _amount(per_shopper: float, currency: str, *, signed: bool = False) -> str:
    """An amount in minor units per shopper, as one per 100 shoppers."""
    minor = round(SHOPPERS * abs(per_shopper))
    sign = "\N{MINUS SIGN}" if per_shopper < 0 and minor else "+" if signed and minor else ""
    return f"{sign}{money(Money(amount=minor, currency=currency))}"


def _sums(figures: Figures, name: str, n: int) -> Sums:
    return Sums(n=n, **{one: figures.get(f"{name}/{one}", 0) for one in ("y", "yy", "x", "xx", "xy")})
