"""Picture: the way of a shopper through a journey, as a list of what happens one after another."""

import msgspec

from mesh.channels import CHANNELS
from notifications.journeys import Journey
from notifications.journeys.steps import Step, Variant, condition_of
from notifications.journeys.triggers import BROWSE_ABANDONED, CART_ABANDONED, has_cart
from notifications.studio.journey_pages.inputs import duration_in_words, title_of
from notifications.studio.journey_pages.step_words import gives
from notifications.studio.journey_pages.trigger_input import begins
from notifications.variants import settings_of, shares


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A variant: what is sent, what shoppers get of it, and how long it waits. `share` is from 0 to 100."""

    name: str
    share: float
    sends: str
    gets: str
    wins: bool


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happens: `kind` is trigger, wait, ask, send or end."""

    kind: str
    title: str
    detail: str = ""
    branches: tuple[Branch, ...] = ()


def picture(journey: Journey) -> tuple[Node, ...]:
    """From what starts it to the end of the run."""
    title, detail = begins(journey)
    nodes = [Node(kind="trigger", title=title, detail=detail)]
    for place, step in enumerate(journey.listed_steps):
        nodes += _nodes(journey, step, place)
    changed = "the cart was changed" if has_cart(journey.trigger) else "a cart was filled"
    if journey.trigger == BROWSE_ABANDONED:
        changed = "came back, or filled a cart"
    ends = f"bought, unsubscribed, or {changed}" if journey.steps else f"bought, or {changed}"
    return (*nodes, Node(kind="end", title="End", detail=f"At any moment: {ends}"))


def _nodes(journey: Journey, step: Step, place: int) -> list[Node]:
    found = []
    if step.after:
        found.append(
            Node(kind="wait", title=f"Wait {duration_in_words(step.after)}", detail=_held(journey, step, place))
        )
    if asked := condition_of(step.when):
        found.append(Node(kind="ask", title=f"Only if {asked.words}", detail="Otherwise on to the next step"))
    branches = tuple(_branch(journey, step, one, part) for one, part in _parts(step))
    own = settings_of(journey, step, None)
    title, detail = sent(own), ": ".join(part for part in (step.name, gives(own)) if part)
    if branches:
        detail = step.name
        title = f"Winner {step.winner}" if step.winner else f"Test of {len(branches)} variants"
    return [*found, Node(kind="send", title=title, detail=detail, branches=branches)]


def sent(journey: Journey) -> str:
    """By which ways which template goes, such as `E-mail, on site: abandoned-cart`."""
    ways = [title_of(one) for one in CHANNELS if one in journey.channels]
    words = ", ".join(ways)
    return f"{words[:1].upper()}{words[1:]}: {journey.template}"


def _parts(step: Step) -> list[tuple[Variant, float]]:
    found = shares(step)
    return [(one, found.get(one.name, 0.0)) for one in step.variants]


def _branch(journey: Journey, step: Step, variant: Variant, share: float) -> Branch:
    own = settings_of(journey, step, variant)
    waits = [f"waits {duration_in_words(variant.after)}"] if variant.after is not None else []
    return Branch(
        name=variant.name,
        share=round(100 * share, 1),
        sends=sent(own),
        gets=", ".join([gives(own), *waits]),
        wins=step.winner == variant.name,
    )


def _held(journey: Journey, step: Step, place: int) -> str:
    """What else keeps the step back, so that nobody wonders why it comes later than it says."""
    if place and step.after < journey.contact_interval:
        return f"Longer, as offers are {duration_in_words(journey.contact_interval)} apart"
    if place:
        return "after the step before was sent"
    return "after the cart counts as left" if journey.trigger == CART_ABANDONED else "after that"
