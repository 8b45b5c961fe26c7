"""Step builder: what the buttons of the steps do to a form: add, remove, move, and the variants of a step."""

from collections.abc import Sequence
from itertools import combinations, count
from string import ascii_lowercase
from typing import Any

from mesh.channels import CHANNELS
from mesh.errors import DeclarationError
from notifications.channel_settings import not_set_up
from notifications.journeys.steps import HAPPENINGS, Condition, condition_of
from notifications.studio.journey_pages.inputs import Texts, title_of
from notifications.studio.journey_pages.steps_input import (
    GIVES,
    STEP,
    UNIT,
    USUAL_SIZE,
    VARIANT,
    Row,
    rows_of,
    texts_of,
)

Rows = list[tuple[Row, list[Row]]]


def changed(texts: Texts, action: str) -> tuple[Texts, str]:
    """The form after a button such as `up:1`, and which step is looked at next. Others change nothing."""
    rows, (what, *places) = rows_of(texts), action.split(":")
    at = [int(place) for place in places if place.isascii() and place.isdigit() and len(place) < 4]
    if what == "add":
        return _texts(_with_step(rows)), f"step-{max(len(rows), 1)}"
    if not at or at[0] >= len(rows):
        return texts, "steps"
    step, row = at[0], rows[at[0]]
    if what == "remove":
        del rows[step]
        return _texts(rows), f"step-{min(step, len(rows) - 1)}" if rows else "steps"
    if what in ("up", "down"):
        to = min(max(step + (1 if what == "down" else -1), 0), len(rows) - 1)
        rows.insert(to, rows.pop(step))
        return _texts(rows), f"step-{to}"
    if what == "variant":
        row[1].extend(_new_variants([one["variant"] for one in row[1]]))
    elif what == "without" and at[1:] and at[1] < len(row[1]):
        gone = row[1].pop(at[1])
        row[0]["winner"] = "" if row[0]["winner"] == gone["variant"] else row[0]["winner"]
        row[0]["choose_winner"] = row[0]["choose_winner"] if len(row[1]) > 1 else ""
    return _texts(rows), f"step-{step}"


def choices(texts: Texts, templates: Sequence[str], usual: str) -> dict[str, Any]:
    """What the controls of the steps offer: one entry of `steps` for each."""
    names = [step["name"] for step, _ in rows_of(texts)]
    missing = not_set_up()
    known = [one for one in CHANNELS if one not in missing]
    ways = [",".join(some) for size in range(1, len(known) + 1) for some in combinations(known, size)]
    return {
        "rows": [(step, own, _conditions(names[:place])) for place, (step, own) in enumerate(rows_of(texts))],
        "by_name": {one: one for one in templates},
        "gives": GIVES,
        "usual": usual,
        "ways": {one: " and ".join(map(title_of, one.split(","))) for one in ways},
    }


def _conditions(earlier: Sequence[str]) -> dict[str, str]:
    """What a step may ask of earlier ones, with words for it."""
    if not earlier:
        return {}
    asked = [f"{no}{happening}" for happening in HAPPENINGS for no in ("", "not ")]
    some = [*asked, *(f"{one} {name}" for name in earlier if name for one in asked)]
    return {one: f"only if {condition.words}" for one in some if (condition := _condition(one))}


def _condition(when: str) -> Condition | None:
    """A condition; None where a step has a name that is none yet."""
    try:
        return condition_of(when)
    except DeclarationError:
        return None


def _texts(rows: Rows) -> Texts:
    """The rows as a form; the first step has none before it that it could ask about."""
    return texts_of([(step | ({} if place else {"when": ""}), own) for place, (step, own) in enumerate(rows)])


def _with_step(rows: Rows) -> Rows:
    """One more step; the first time two, as a journey has one without saying so."""
    names = [step["name"] for step, _ in rows]
    for _ in range(1 if rows else 2):
        name = next(one for at in count(len(names) + 1) if (one := f"step-{at}") not in names)
        names.append(name)
        empty = dict.fromkeys(STEP, "") | {"winner_size": str(USUAL_SIZE)}
        alike = {"channels": rows[0][0]["channels"]} if rows else {}
        wait = {"after": "1" if len(names) > 1 else "0", "unit": UNIT if len(names) > 1 else "s"}
        rows = [*rows, (empty | {"name": name} | wait | alike, [])]
    return rows


def _new_variants(names: Sequence[str]) -> list[Row]:
    """One more variant; the first time two, as one alone is no test."""
    made: list[Row] = []
    for _ in range(1 if names else 2):
        used = {*names, *(one["variant"] for one in made)}
        name = next((one for one in ascii_lowercase if one not in used), "")
        made.append(dict.fromkeys(VARIANT, "") | {"variant": name, "share": "50", "wait_unit": UNIT})
    return made
