"""Split: whether each variant of a step was given to as many shoppers as its share says."""

from datetime import date

import msgspec

from notifications.experiments.participant import OF_STEP, OF_VARIANTS
from notifications.experiments.ratio_check import SUSPECT, chance_of_split
from notifications.journeys import Journey
from notifications.journeys.steps import Step
from notifications.studio.experiment_pages.result import Read
from notifications.variants import shares


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A variant: how many shoppers were given it, and what part of all of them should have been."""

    variant: str
    shoppers: int
    share: float


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """The variants of a step since they are what they are now; `chance` bounds that of such numbers without a cause."""

    step: str
    since: date | None
    given: tuple[Given, ...]
    chance: float

    @property
    def suspect(self) -> bool:
        """Whether the variants have other numbers of shoppers than chance gives."""
        return self.chance < SUSPECT

    @property
    def whole(self) -> int:
        """How many shoppers were given any of them."""
        return sum(one.shoppers for one in self.given)

    @property
    def words(self) -> str:
        """How many were given each variant, and how many should have been."""
        parts = [
            f"{one.variant} was given to {one.shoppers:,} shoppers ({_percent(one.shoppers / self.whole)}) "
            f"and should have {_percent(one.share)}"
            for one in self.given
        ]
        return "; ".join(parts) + "."


def split_of(journey: Journey, step: Step, read: Read, since: date | None) -> Split | None:
    """The split of a step since a day, by what was read of all experiments; None where chance has no choice.

    Whoever takes part counts at once, also those whose time to buy is not over.
    """
    wanted = {name: share for name, share in shares(step).items() if share > 0}
    if len(wanted) < 2:
        return None
    group, stratum = f"{journey.name}{OF_STEP}{step.name}", f"{OF_VARIANTS:.4f}"
    days = [groups[group] for (_, day), groups in read.items() if group in groups and (since is None or day >= since)]
    counts = {name: sum(figures.get(f"{stratum}/{name}/n", 0) for figures in days) for name in wanted}
    given = tuple(Given(variant=name, shoppers=counts[name], share=share) for name, share in wanted.items())
    return Split(step=step.name, since=since, given=given, chance=chance_of_split(counts, wanted))


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %"
