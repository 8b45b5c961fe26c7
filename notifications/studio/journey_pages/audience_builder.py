"""Audience builder: the rows of an audience as its page shows them, and what its buttons do to them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from mesh.errors import DeclarationError
from notifications.conditions.check import MOST_LEVELS
from notifications.conditions.fields import FIELDS
from notifications.conditions.fields import GROUPS as FIELD_GROUPS
from notifications.conditions.operators import Type
from notifications.studio.journey_pages.audience_input import (
    ANY,
    GROUPS,
    Row,
    level_of,
    read_condition,
    rows_of,
    texts_of,
)
from notifications.studio.journey_pages.form import Typed
from notifications.studio.journey_pages.inputs import Texts

AUDIENCE = "audience"
"""The field of the form."""
ADD, GROUP, REMOVE = "add", "group", "remove"
"""What a button does at a row: `add 0`, for instance, adds a condition to the outermost group."""


class ConditionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A condition as it is shown. `at` is the number of its row; `operators` are (name, words); `wrong` in words."""

    at: int
    level: int
    name: str
    label: str
    unit: str
    example: str
    operators: tuple[tuple[str, str], ...]
    operator: str
    value: str
    wrong: str
    takes_value: bool
    is_group: bool = False


class GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """A group as it is shown, with what is in it. `may_nest`: another group may be added to it."""

    at: int
    level: int
    kind: str
    inner: "list[GroupRow | ConditionRow]"
    may_nest: bool
    is_group: bool = True


def shown(texts: Texts) -> GroupRow:
    """The outermost group of what a form holds."""
    rows = rows_of(texts)
    found: list[GroupRow] = []
    for at, row in enumerate(rows):
        while len(found) > 1 and found[-1].level >= level_of(row):
            found.pop()
        one = _group(at, row) if row[0] in GROUPS else _condition(at, row)
        if found:
            found[-1].inner.append(one)
        if isinstance(one, GroupRow):
            found.append(one)
    return found[0]


def _group(at: int, row: Row) -> GroupRow:
    return GroupRow(at=at, level=level_of(row), kind=row[0], inner=[], may_nest=level_of(row) + 2 < MOST_LEVELS)


def _condition(at: int, row: Row) -> ConditionRow:
    name, _, is_, value = row
    field, wrong = FIELDS.get(name), ""
    try:
        read_condition(row)
    except DeclarationError as error:
        wrong = str(error)
    operators = tuple((one.name, one.words) for one in field.operators.values()) if field else ()
    return ConditionRow(
        at=at,
        level=level_of(row),
        name=name,
        label=field.label if field else name,
        unit=field.unit if field else "",
        example=field.example if field else "",
        operators=operators,
        operator=is_,
        value=value,
        wrong=wrong,
        takes_value=field is not None and field.type is not Type.YES_NO,
    )


def after_button(typed: Typed, sent: Mapping[str, Any]) -> tuple[Typed, str]:
    """What was typed with what a button of the audience did to it, and which button that was; empty: none."""
    edit = str(sent.get("edit", ""))
    if not edit:
        return typed, ""
    return {**typed, AUDIENCE: changed(typed[AUDIENCE], edit, lambda at: str(sent.get(f"new.{at}", "")))}, edit


def said(wrong: Mapping[str, str], edit: str) -> dict[str, Any]:
    """What is said of a form that is not saved; a condition that a button has just added is not wrong yet."""
    if edit and set(wrong) == {AUDIENCE}:
        return {"done": "unfinished"}
    return {"wrong": wrong, "status": 422}


def changed(texts: Texts, edit: str, field: Callable[[int], str]) -> Texts:
    """What a form holds after one of its buttons; `field` gives the field chosen for a new condition of a group.

    A button that there is not changes nothing.
    """
    rows = rows_of(texts)
    action, _, number = edit.partition(" ")
    at = int(number) if number.isascii() and number.isdigit() and len(number) < 6 else len(rows)
    if at >= len(rows):
        return texts_of(rows)
    level, end = level_of(rows[at]), _end(rows, at)
    chosen = FIELDS.get(field(at))
    if action == REMOVE and at:
        del rows[at:end]
    elif action == GROUP and rows[at][0] in GROUPS:
        rows.insert(end, (ANY, str(level + 1), "", ""))
    elif action == ADD and rows[at][0] in GROUPS and chosen:
        rows.insert(end, (chosen.name, str(level + 1), next(iter(chosen.operators)), ""))
    return texts_of(rows)


def newest(texts: Texts, edit: str) -> int:
    """The number of the row that a button has just added, which is written in next; -1: it added none.

    `texts` are those after the button: what was added is the last row of its group.
    """
    rows, (action, _, number) = rows_of(texts), edit.partition(" ")
    at = int(number) if action in (ADD, GROUP) and number.isascii() and number.isdigit() and len(number) < 6 else -1
    return _end(rows, at) - 1 if 0 <= at < len(rows) else -1


def _end(rows: Sequence[Row], at: int) -> int:
    """The row behind all that stands in a row."""
    inside = (index for index in range(at + 1, len(rows)) if level_of(rows[index]) <= level_of(rows[at]))
    return next(inside, len(rows)) if rows[at][0] in GROUPS else at + 1


def choices() -> dict[str, list[tuple[str, str]]]:
    """The fields that a condition may be about, (name, label) by the title of their group."""
    return {
        title: [(name, field.label) for name, field in FIELDS.items() if name.partition(".")[0] == group]
        for group, title in FIELD_GROUPS.items()
    }


def meanings() -> list[tuple[str, str]]:
    """What each field is, and when it is not known: (label, words)."""
    return [(field.label, field.source) for field in FIELDS.values()]


OPTIONS = {"shown": shown, "newest": newest, "choices": choices(), "meanings": meanings(), "groups": GROUPS}
"""What the page of the builder needs besides the texts."""
