"""Variants: what the variants of a journey's steps bring, each against the first one."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta

import msgspec

from notifications.exact_sums import Figures, total
from notifications.experiments.effect import ALPHA, Effect, Sums, effect, enough
from notifications.experiments.participant import BOUGHT, CONFIRMED, OF_STEP, OF_VARIANTS, REPORTED
from notifications.studio.experiment_pages.result import SHOPPERS, Arm, Read, is_ripe


class VariantResult(msgspec.Struct, frozen=True, kw_only=True):
    """A variant: how many were given it and bought, and how many more orders it brings than the first one.

    `effect` is per shopper, and None of the first variant and of those that are too small to say anything.
    """

    name: str
    arm: Arm
    effect: Effect | None

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


class StepVariants(msgspec.Struct, frozen=True, kw_only=True):
    """The variants of a step, by name."""

    step: str
    variants: tuple[VariantResult, ...]


def variants_of(journey: str, read: Read, today: date, window: timedelta) -> list[StepVariants]:
    """The variants of a journey's steps, of everybody whose time to buy is over, in the order of the steps' names."""
    by_step: dict[str, list[Figures]] = defaultdict(list)
    for (_, day), groups in read.items():
        for group, figures in groups.items():
            name, found, step = group.partition(OF_STEP)
            if found and name == journey and is_ripe(day, today, window):
                by_step[step].append(figures)
    return [StepVariants(step=step, variants=_compared(total(many))) for step, many in sorted(by_step.items())]


def _compared(figures: Figures) -> tuple[VariantResult, ...]:
    stratum = f"{OF_VARIANTS:.4f}"
    names = sorted({name.split("/")[1] for name in figures if name.endswith("/n")})
    grade = CONFIRMED if any(f"/{CONFIRMED}/" in name for name in figures) else REPORTED
    arms = {
        name: Arm(
            participants=figures.get(f"{stratum}/{name}/n", 0),
            bought=figures.get(f"{stratum}/{name}/{grade}/{BOUGHT}/y", 0),
        )
        for name in names
    }
    sums = {name: _sums(figures, f"{stratum}/{name}/{grade}/{BOUGHT}", arms[name].participants) for name in names}
    first = names[0]
    return tuple(
        VariantResult(name=name, arm=arms[name], effect=_against(name, first, arms, sums) if name != first else None)
        for name in names
    )


def _against(name: str, first: str, arms: Mapping[str, Arm], sums: Mapping[str, Sums]) -> Effect | None:
    """Each of several comparisons has its part of the chance to be wrong."""
    if not enough([(arms[one].participants, arms[one].bought) for one in (first, name)]):
        return None
    return effect([(sums[first], sums[name])], alpha=ALPHA / max(len(arms) - 1, 1))


def _sums(figures: Figures, name: str, n: int) -> Sums:
    return Sums(n=n, **{one: figures.get(f"{name}/{one}", 0) for one in ("y", "yy", "x", "xx", "xy")})
