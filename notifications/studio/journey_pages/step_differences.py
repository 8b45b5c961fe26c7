"""Step differences: the steps of a journey as a comparison of two revisions says them, each for itself."""

from collections.abc import Sequence
from decimal import Decimal

from notifications.journeys.steps import Step, Variant, condition_of
from notifications.studio.journey_pages.inputs import duration_in_words, plain, title_of


def words(value: Sequence[Step]) -> str:
    """All steps in one line."""
    return "; ".join(f"{name}: {said}" for name, said in details(value).items()) or "one, as the settings say"


def details(value: Sequence[Step]) -> dict[str, str]:
    """Each step, and that they come one after another, by what it is called in a comparison."""
    found = {_titled(one.name): ", ".join(_said(one)) for one in value}
    return {"Order of steps": ", ".join(one.name for one in value)} | found if value else {}


def _titled(name: str) -> str:
    """`reminder` as `Step reminder`, and `step-1` as `Step-1`."""
    return name.capitalize() if name.startswith("step") else f"Step {name}"


def _said(step: Step) -> list[str]:
    said = [f"after {duration_in_words(step.after)}" if step.after else "at once"]
    said += [f"template {step.template}"] if step.template else []
    said += [" and ".join(title_of(one) for one in step.channels)] if step.channels else []
    said += _discount(step)
    said += [f"only if {asked.words}"] if (asked := condition_of(step.when)) else []
    said += [f"variant {one.name} ({', '.join(_of_variant(one))})" for one in step.variants]
    said += [f"name of the test {step.experiment}"] if step.experiment else []
    rule = f"winner chosen automatically by {step.choose_winner}, from {step.winner_size:,} shoppers of each variant on"
    said += [rule] if step.choose_winner else []
    return [*said, f"winner {step.winner}"] if step.winner else said


def _discount(of: Step | Variant) -> list[str]:
    if of.discount_percent is None:
        return []
    return [f"{of.discount_percent} % off" if of.discount_percent else "no discount"]


def _of_variant(variant: Variant) -> list[str]:
    said = [f"share {plain(Decimal(repr(variant.share)))}"]
    said += [f"template {variant.template}"] if variant.template else []
    said += _discount(variant)
    return [*said, f"after {duration_in_words(variant.after)}"] if variant.after is not None else said
