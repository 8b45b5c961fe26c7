"""Changes: what differs between two journeys, field by field, and the changes of two people brought together."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import msgspec

from mesh.errors import DeclarationError
from notifications.journeys import Journey, parse
from notifications.journeys.kind import FILE
from notifications.studio.journey_pages.fields import FIELDS, Field
from notifications.studio.journey_pages.form import Typed, typed_of


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A field with another value, both in words."""

    label: str
    before: str
    after: str


class EditConflict(msgspec.Struct, frozen=True, kw_only=True):
    """A field that you or somebody else changed. `both`: to different values."""

    label: str
    old: str
    theirs: str
    yours: str
    both: bool


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The changed fields; `note` says what else there is to know."""

    changes: list[Change]
    note: str = ""


def differences(name: str, before: Mapping[str, str] | None, after: Mapping[str, str]) -> Difference:
    """What changed from one text to another; without one before, what differs from an empty journey."""
    try:
        new = parse(name, after[FILE], {})
        old = Journey(name=name, template="") if before is None else parse(name, before[FILE], {})
    except DeclarationError as error:
        return Difference(changes=[], note=f"One of the two cannot be read any more: {error}.")
    changes = [
        change
        for key, field in FIELDS.items()
        if (one := getattr(old, key)) != (other := getattr(new, key))
        for change in _changes(field, one, other)
    ]
    if changes:
        return Difference(changes=changes)
    same = before is not None and dict(before) == dict(after)
    return Difference(changes=[], note="Nothing differs." if same else "Only comments or the order of lines differ.")


def _changes(field: Field, before: Any, after: Any) -> list[Change]:
    """What changed of a field, part by part where it has parts."""
    if field.input.details is None:
        return [Change(label=field.label, before=field.input.words(before), after=field.input.words(after))]
    old, new = field.input.details(before), field.input.details(after)
    return [
        Change(label=label, before=old.get(label, "none"), after=new.get(label, "none"))
        for label in dict.fromkeys((*new, *old))
        if old.get(label) != new.get(label)
    ]


def conflicts(old: Typed, theirs: Typed, yours: Typed) -> list[EditConflict]:
    """Every field that was changed by them or by you."""
    found = []
    for key, field in FIELDS.items():
        same = field.input.holds_same
        if not (same(old[key], theirs[key]) and same(old[key], yours[key])):
            words = [_words(field, typed) for typed in (old, theirs, yours)]
            both = not any(same(one[key], other[key]) for one, other in combinations((old, theirs, yours), 2))
            found.append(EditConflict(label=field.label, old=words[0], theirs=words[1], yours=words[2], both=both))
    return found


def merged(old: Typed, theirs: Typed, yours: Typed) -> Typed:
    """What they wrote, with what you changed on top of it."""
    return {
        key: theirs[key] if field.input.holds_same(yours[key], old[key]) else yours[key]
        for key, field in FIELDS.items()
    }


def typed_in_text(name: str, text: str) -> Typed:
    """A text as a form shows it. DeclarationError where it cannot be read."""
    return typed_of(parse(name, text, {}))


def _words(field: Field, typed: Typed) -> str:
    """A value in words, or what was typed where it is none."""
    texts = typed[field.name]
    try:
        return field.input.words(field.input.read(texts))
    except DeclarationError:
        return ", ".join(text for part in texts.values() for text in part if text)
