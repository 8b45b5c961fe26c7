"""Variants: which variant of a step a shopper gets, the same one for ever, and what the step is with it."""

import math
from collections.abc import Iterable, Sequence

import msgspec

from mesh.events.contact import Contact
from notifications.experiment import uniform
from notifications.journeys import Journey
from notifications.journeys.steps import Step, Variant


def allocate_variant(person: str, journey: str, experiment: str, variants: Sequence[Variant]) -> Variant | None:
    """A shopper's variant by weighted rendezvous hashing, None where no variant has a share.

    Each variant draws a number that follows from journey, experiment, person and the variant's name alone, and the
    highest one weighted by `share` wins (Wang and Ravishankar, "Hash-Based Virtual Hierarchies for Caching in Hybrid
    Content-Delivery Networks", 2003). So a changed share moves only shoppers to or from that variant.
    """

    def score(variant: Variant) -> float:
        drawn = uniform(f"variant\x1f{journey}\x1f{experiment}\x1f{variant.name}\x1f{person}")
        return -variant.share / math.log(drawn + 2**-54)  # above 0, below 1

    return max((one for one in variants if one.share > 0), key=score, default=None)


def variant_of(
    step: Step, *, journey: str, person: str, before: str = "", contacts: Iterable[Contact] = ()
) -> Variant | None:
    """The variant that a shopper gets of a step now; None where it has none.

    The winner where there is one; else what this offer was given `before`, else what the shopper was sent of the same
    experiment, as far as `contacts` reach back; else what is allocated. A variant that is not there any more counts as
    never given.
    """
    if step.winner:
        return step.variant(step.winner)
    given = [
        one.variant
        for one in sorted(contacts, key=lambda one: one.at, reverse=True)
        if (one.journey, one.experiment) == (journey, step.allocation)
    ]
    for name in (before, *given):
        if name and (known := step.variant(name)):
            return known
    return allocate_variant(person, journey, step.allocation, step.variants)


def settings_of(journey: Journey, step: Step, variant: Variant | None) -> Journey:
    """The journey as one offer of it is evaluated: with what step and variant have of their own, and no steps."""
    own: dict[str, object] = {"steps": ()}
    for one in (step, variant):
        if one is not None and one.template:
            own["template"] = one.template
        if one is not None and one.discount_percent is not None:
            own |= {"discount_percent": one.discount_percent, "discount_depths": ()}
    if step.channels:
        own["channels"] = step.channels
    return msgspec.structs.replace(journey, **own)


def shares(step: Step) -> dict[str, float]:
    """What part of all shoppers each variant gets, 0 to 1, by name."""
    whole = sum(one.share for one in step.variants)
    if step.winner:
        return {one.name: float(one.name == step.winner) for one in step.variants}
    return {one.name: one.share / whole for one in step.variants} if whole else {}
