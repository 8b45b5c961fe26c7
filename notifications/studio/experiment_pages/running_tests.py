"""Running tests: the variants that journeys try against each other now, also before anything is known of them."""

from collections.abc import Mapping
from datetime import date

import msgspec

from mesh import Mesh
from notifications.documents.publishing import versions
from notifications.exact_sums import total
from notifications.experiments.effect import LEAST
from notifications.experiments.participant import OF_STEP, OF_VARIANTS
from notifications.journeys import Journey
from notifications.journeys.kind import JOURNEYS
from notifications.journeys.steps import Step
from notifications.studio.experiment_pages.choosing import journey_in_force, what_is_tested
from notifications.studio.experiment_pages.result import Read


class RunningTest(msgspec.Struct, frozen=True, kw_only=True):
    """A test of a step: how many shoppers were given each variant, how many of each it needs, and since when it runs.

    `on`: whether the journey is on, so that more shoppers take part.
    """

    journey: str
    step: str
    shoppers: Mapping[str, int]
    needed: int
    began: date | None
    on: bool

    @property
    def variants(self) -> str:
        """Such as `a against b`."""
        return " against ".join(self.shoppers)

    @property
    def progress(self) -> str:
        """Such as `0 of 500 shoppers each`."""
        counts = set(self.shoppers.values())
        if len(counts) == 1:
            return f"{counts.pop():,} of {self.needed:,} shoppers each"
        said = ", ".join(f"{name} {count:,}" for name, count in self.shoppers.items())
        return f"{said} of {self.needed:,} shoppers each"


async def running_tests(
    journeys: Mapping[str, Journey | None], read: Read, mesh: Mesh, *, only: str = ""
) -> list[RunningTest]:
    """Every test of the journeys in force, or of one of them; `read` is what `read_figures` found."""
    found = [one for name, one in sorted(journeys.items()) if one and only in ("", name)]
    return [await _test(journey, step, read, mesh) for journey in found for step in journey.steps if step.tested]


async def _test(journey: Journey, step: Step, read: Read, mesh: Mesh) -> RunningTest:
    began = await _began(journey.name, step, mesh)
    group = f"{journey.name}{OF_STEP}{step.name}"
    figures = total(groups[group] for (_, day), groups in read.items() if group in groups and _counts(day, began))
    return RunningTest(
        journey=journey.name,
        step=step.name,
        shoppers={name: figures.get(f"{OF_VARIANTS:.4f}/{name}/n", 0) for name in step.tested},
        needed=step.winner_size if step.choose_winner else LEAST,
        began=began,
        on=journey.active,
    )


def _counts(day: date, began: date | None) -> bool:
    return began is None or day >= began


async def _began(name: str, step: Step, mesh: Mesh) -> date | None:
    """On which day the step began to test what it tests now; None where that is not known any more."""
    began: date | None = None
    for version in await versions(JOURNEYS, name, mesh):
        if version.state not in ("in force", "replaced"):
            continue
        journey = journey_in_force(version.document)
        if not any(_is_tested(step, one) for one in (journey.steps if journey else ())):
            break
        began = version.document.time.date()
    return began


def _is_tested(step: Step, other: Step) -> bool:
    return step.name == other.name and what_is_tested(step) == what_is_tested(other)
