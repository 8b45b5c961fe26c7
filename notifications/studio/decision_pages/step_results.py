"""Step results: what was sent, clicked and won by each step and variant of a journey, from its figures.

Results are kept under the names of steps and variants, so they survive every edit of the journey.
"""

from collections.abc import Sequence

import msgspec

from mesh import Money
from notifications.exact_sums import Figures
from notifications.journeys import Journey
from notifications.studio.decision_pages import words

PREFIX = "step:"


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one variant of a step, or of a step without variants (`variant` is empty).

    `state` says whether the journey in force still has it: `winner`, `removed`, or nothing.
    """

    step: str
    variant: str
    figures: Figures
    state: str = ""

    def count(self, name: str) -> int:
        """One figure."""
        return self.figures.get(name, 0)

    def part(self, name: str) -> str:
        """A figure as a part of what was sent, such as `12.5 %`; empty where nothing was."""
        sent = self.count("sent")
        return f"{100 * self.count(name) / sent:.1f} %" if sent else ""

    @property
    def revenue(self) -> str:
        """The totals of the orders that followed, per currency; a dash for none."""
        found = [(name.partition(":")[2], count) for name, count in sorted(self.figures.items()) if "revenue:" in name]
        return ", ".join(words.money(Money(amount=count, currency=one)) for one, count in found if count) or "-"


def step_results(figures: Figures, journey: Journey | None) -> tuple[StepResult, ...]:
    """The steps of a journey's figures in the order of the journey in force; then those that it has no more."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for name, count in figures.items():
        if name.startswith(PREFIX):
            _, step, variant, rest = name.split(":", 3)
            found.setdefault((step, variant), {})[rest] = count
    places = _places(journey)
    for key in places:
        found.setdefault(key, {})
    rows = sorted(found, key=lambda key: (places.get(key, len(places)), key))
    return tuple(
        StepResult(step=step, variant=variant, figures=found[step, variant], state=_state(step, variant, journey))
        for step, variant in rows
    )


def _places(journey: Journey | None) -> dict[tuple[str, str], int]:
    """Where each step and variant stands in a journey."""
    steps = journey.steps if journey else ()
    keys: Sequence[tuple[str, str]] = [
        (step.name, name) for step in steps for name in ([one.name for one in step.variants] or [""])
    ]
    return {key: place for place, key in enumerate(keys)}


def _state(step: str, variant: str, journey: Journey | None) -> str:
    known = next((one for one in journey.steps if one.name == step), None) if journey else None
    if known is None or (variant and known.variant(variant) is None):
        return "removed"
    return "winner" if variant and known.winner == variant else ""
