"""Form: a journey as the texts of a form, and the texts of a form as the TOML of a journey."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import tomlkit
from tomlkit.items import Array

from mesh.errors import DeclarationError
from notifications.journeys import Journey, parse
from notifications.studio.journey_pages.fields import FIELDS
from notifications.studio.journey_pages.inputs import Texts
from notifications.studio.journey_pages.steps_input import put_tables
from notifications.studio.journey_pages.trigger_input import settled

Typed = Mapping[str, Texts]
"""The texts of a form by field."""
WHOLE = ""
"""The key of what is wrong with the journey as a whole."""
_place = re.compile(r"(?:CARTMESH_)?(\w+)(?:: | = |=| (?=is ))(.*)", re.DOTALL).fullmatch


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A form's TOML text, and what is wrong with it, by field; nothing where it is a valid journey."""

    text: str
    wrong: dict[str, str]


def typed_of(journey: Journey) -> Typed:
    """A journey as a form shows it."""
    return {name: field.input.show(getattr(journey, name)) for name, field in FIELDS.items()}


def typed_in(sent: Callable[[str], Sequence[str]]) -> Typed:
    """What was sent: `sent` gives all texts of a control's name, which is `field` or `field.part`."""
    return {
        name: {part: list(sent(f"{name}.{part}" if part else name)) for part in field.input.parts}
        for name, field in FIELDS.items()
    }


def write(name: str, base: str, typed: Typed) -> Written:
    """The text `base` with the values of a form: what did not change stays as it is written, with all comments.

    DeclarationError where `base` cannot be read.
    """
    before, document = parse(name, base, {}), tomlkit.parse(base if base.endswith("\n") or not base else f"{base}\n")
    wrong: dict[str, str] = {}
    unset = typed_of(Journey(name=name, template=""))
    typed = settled(dict(typed), lambda key: unset[key])
    for key, field in FIELDS.items():
        if typed[key] == field.input.show(getattr(before, key)):
            continue
        try:
            value = field.input.read(typed[key])
        except DeclarationError as error:
            wrong[key] = str(error)
            continue
        if not field.input.same(value, getattr(before, key)):
            _set(document, key, field.input.write(value))
    text = tomlkit.dumps(document)
    if not wrong:
        try:
            parse(name, text, {})
        except DeclarationError as error:
            wrong = placed(error)
    return Written(text=text, wrong=wrong)


def placed(error: DeclarationError) -> dict[str, str]:
    """What is wrong, by the field that the error names."""
    words = re.sub(r"^journey [^:]*?(?: \(or \w+\.\.\.\))?: ", "", str(error))
    found = _place(words)
    if found and found[1].lower() in FIELDS:
        return {found[1].lower(): _in_labels(found[2])}
    return {WHOLE: _in_labels(words)}


def _in_labels(words: str) -> str:
    """Fields called as the form calls them."""
    return re.sub(r"\b[a-z]+(?:_[a-z]+)+\b", lambda one: FIELDS[one[0]].label if one[0] in FIELDS else one[0], words)


def _set(document: Any, key: str, value: Any) -> None:
    present = document.get(key)
    if FIELDS[key].input.control == "steps":
        put_tables(document, key, value)
        return
    if value is None:
        document.pop(key, None)
        return
    if not isinstance(present, Array) or not isinstance(value, list):
        document[key] = value
        return
    for index, one in enumerate(value[: len(present)]):
        if present[index] != one:
            present[index] = one
    for _ in range(len(present) - len(value)):
        present.pop()
    for one in value[len(present) :]:
        present.append(one)
