"""Picture: the checkout of an order as a row of steps, each done, at work, waiting for a person, or still to come."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from mesh import Received
from mesh.events.checkout import CheckoutAdvanced

State = Literal["done", "now", "parked", "failed", "later", "skipped"]
FORWARD = {
    "reserve": "Reserve the stock",
    "claim": "Keep the code",
    "check": "Check for fraud",
    "authorise": "Hold the money",
    "confirm": "Confirm the order",
    "redeem": "Redeem the code",
    "capture": "Charge",
    "ship": "Hand to shipping",
    "sell": "Take from stock",
}
"""The steps of an order that succeeds, in their order, in a shop's words."""
AFTER = {"refund": "Pay back"}
UNDO = {
    "void": "Give the money back",
    "release": "Give the stock back",
    "cancel": "Cancel the order",
    "return_code": "Give the code back",
}
CODE = frozenset({"claim", "redeem", "return_code"})
"""The steps of an order that was taken with a code."""
TOPICS = {
    "reserve": "stock",
    "check": "fraud",
    "authorise": "payment",
    "confirm": "order",
    "capture": "payment",
    "sell": "stock",
    "refund": "payment",
    "void": "payment",
    "release": "stock",
    "cancel": "order",
    "claim": "code",
    "redeem": "code",
    "return_code": "code",
}
"""Who answers a step."""
FINISHED, UNDONE = "finished", "undone"
WORDS: dict[State, str] = {
    "done": "done",
    "now": "at work",
    "parked": "waits for a person",
    "failed": "failed",
    "later": "to come",
    "skipped": "not needed",
}


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """One step in the picture. `answer` is what came of it, `asked` how often it was requested."""

    title: str
    state: State
    words: str
    asked: int = 0
    answer: str = ""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A checkout: the way forward, and what undoes it where it failed."""

    forward: tuple[Box, ...]
    undo: tuple[Box, ...] = ()
    summary: str
    parked: str | None = None
    waiting: int = 0


def picture(history: Sequence[Received]) -> Picture | None:
    """The picture as of the newest `checkout.advanced`; None for an order without a checkout here."""
    states = [one.event for one in history if isinstance(one.event, CheckoutAdvanced)]
    if not states:
        return None
    last = states[-1]
    left_out = frozenset() if last.code else CODE
    steps, undoing = ({one: made[one] for one in made if one not in left_out} for made in (FORWARD, UNDO))
    forward = tuple(_box(name, title, _forward(name, last), last, states) for name, title in steps.items())
    if "refund" in last.asked:
        forward += (_box("refund", AFTER["refund"], _after(last), last, states),)
    undo = tuple(_box(name, title, _undo(name, last), last, states) for name, title in undoing.items())
    return Picture(
        forward=forward,
        undo=undo if last.failure is not None else (),
        summary=_summary(last),
        parked=plain(last.parked) if last.parked else None,
        waiting=len(last.waiting),
    )


def title_of(step: str) -> str:
    """A step in a shop's words."""
    return {**FORWARD, **AFTER, **UNDO, FINISHED: "Finished", UNDONE: "Undone"}.get(step, step)


def plain(reason: str) -> str:
    """Why a checkout waits or failed, such as `reserve: stock.refused`, in a shop's words."""
    step, colon, words = reason.partition(": ")
    if not colon or title_of(step) == step:
        return reason
    return f"{title_of(step)}: {words.replace('.', ' ').replace('_', ' ')}"


def _box(name: str, title: str, state: State, last: CheckoutAdvanced, states: Sequence[CheckoutAdvanced]) -> Box:
    asked = last.asked.get(name, 0)
    return Box(title=title, state=state, words=WORDS[state], asked=asked, answer=_answer(name, states) if asked else "")


def _answer(name: str, states: Sequence[CheckoutAdvanced]) -> str:
    """What was answered while this step was waited for: the first answer that is new after it."""
    topic = TOPICS.get(name, "")
    for before, after in pairwise(states):
        answer = after.answers.get(topic)
        if before.step == name and answer and answer != before.answers.get(topic):
            return answer.replace(".", " ").replace("_", " ")
    return ""


def _present(last: CheckoutAdvanced) -> State:
    return "parked" if last.parked else "now"


def _forward(name: str, last: CheckoutAdvanced) -> State:
    names = list(FORWARD)
    if last.failure is not None:
        if name not in last.asked:
            return "skipped"
        asked = [one for one in names if one in last.asked]
        return "failed" if name == asked[-1] else "done"
    if last.step not in names or names.index(name) < names.index(last.step):
        return "done"
    return _present(last) if name == last.step else "later"


def _after(last: CheckoutAdvanced) -> State:
    return _present(last) if last.step == "refund" else "done"


def _undo(name: str, last: CheckoutAdvanced) -> State:
    names = list(UNDO)
    if last.step == name:
        return _present(last)
    if last.step in names and names.index(name) > names.index(last.step):
        return "later"
    return "done" if name in last.asked else "skipped"


def _summary(last: CheckoutAdvanced) -> str:
    if last.parked:
        return f"The checkout waits for a person at “{title_of(last.step)}”."
    if last.step == FINISHED:
        return "The checkout is finished."
    if last.step == UNDONE:
        return f"The checkout was undone: {plain(last.failure or '')}."
    if last.failure is not None:
        return f"The checkout is being undone: {plain(last.failure or '')}."
    return f"The checkout is at “{title_of(last.step)}”."
