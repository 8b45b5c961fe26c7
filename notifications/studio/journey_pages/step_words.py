"""Step words: what each step of a journey sends, when, and to which part of the shoppers, in words."""

from collections.abc import Sequence

from mesh.channels import CHANNELS
from notifications.journeys import Journey
from notifications.journeys.steps import Step, Variant, condition_of
from notifications.journeys.triggers import CART_ABANDONED
from notifications.studio.journey_pages.inputs import duration_in_words, share, title_of
from notifications.studio.journey_pages.trigger_input import left_after
from notifications.variants import settings_of, shares


def steps_in_words(journey: Journey) -> list[str]:
    """Each step as a sentence: `1 day later: e-mail, 10 % off (half) or 15 % off (half).` is one."""
    return [
        f"{_when(journey, step, place)}: {_what(journey, step)}." for place, step in enumerate(journey.listed_steps)
    ]


def running_tests(journey: Journey) -> dict[str, str]:
    """Each step that tests variants now, and which, such as `a against b`."""
    return {step.name: " against ".join(step.tested) for step in journey.steps if step.tested}


def alike_variants(journey: Journey) -> dict[str, str]:
    """Two variants of a step that shoppers cannot tell from each other, such as `a and b`, by the step's name."""
    found = {}
    for step in journey.steps:
        seen: dict[object, str] = {}
        for one in (step.variant(name) for name in step.tested):
            if one is None:
                continue
            waits = step.after if one.after is None else one.after
            what = (settings_of(journey, step, one), waits)
            if what in seen:
                found[step.name] = f"{seen[what]} and {one.name}"
            seen[what] = one.name
    return found


def gives(journey: Journey) -> str:
    """What shoppers get of a journey of one step, such as `0, 5, 10 or 15 % off`."""
    if journey.gift or journey.free_shipping:
        return f"{journey.gift} as a gift" if journey.gift else "free shipping"
    if journey.offer_amounts:
        return f"{listed(journey.offer_amounts, 'or')} off"
    depths = journey.discount_depths or (journey.discount_percent,)
    if not any(depths):
        return "no discount"
    return f"{listed([str(depth) for depth in sorted(set(depths))], 'or')} % off"


def ways(journey: Journey) -> str:
    """By which ways offers go, such as `e-mail and on site`."""
    ordered = [name for name in CHANNELS if name in journey.channels]
    return listed([title_of(name) for name in ordered or dict.fromkeys(journey.channels)], "and")


def listed(names: Sequence[str], word: str) -> str:
    """Such as `a, b or c`."""
    return f" {word} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _when(journey: Journey, step: Step, place: int) -> str:
    if place:
        when = f"{duration_in_words(step.after)} later" if step.after else "Right after it"
    elif journey.trigger == CART_ABANDONED:
        when = f"{duration_in_words(left_after() + step.after)} after the cart is left"
    else:
        when = f"{duration_in_words(step.after)} later" if step.after else "At once"
    asked = condition_of(step.when)
    return f"{when}, only if {asked.words}" if asked else when


def _what(journey: Journey, step: Step) -> str:
    part_of = shares(step)
    given = [one for one in step.variants if part_of.get(one.name)]
    if not given:
        own = settings_of(journey, step, None)
        return f"{ways(own)}, {gives(own)}"
    by_mail = len({settings_of(journey, step, one).template for one in given}) > 1
    said = [f"{_variant(journey, step, one, by_mail)} ({_part(step, one, part_of[one.name])})" for one in given]
    return f"{ways(settings_of(journey, step, None))}, {listed(said, 'or')}"


def _variant(journey: Journey, step: Step, variant: Variant, by_mail: bool) -> str:
    own = settings_of(journey, step, variant)
    waits = f" after {duration_in_words(variant.after)}" if variant.after is not None else ""
    return f"{gives(own)}{f' by mail {own.template}' if by_mail else ''}{waits}"


def _part(step: Step, variant: Variant, part: float) -> str:
    if step.winner:
        return f"the winner, {variant.name}"
    return {0.5: "half", 1.0: "all"}.get(part) or share().words(round(part, 3))
