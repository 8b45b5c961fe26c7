"""Overridden: the fields of every journey that the environment sets, which a form shows and does not change."""

from mesh.errors import DeclarationError
from notifications.journeys import PREFIX, Journey, overrides_from_environment, parse
from notifications.studio.journey_pages.fields import FIELDS
from notifications.studio.journey_pages.form import Typed, typed_of


def variables() -> dict[str, str]:
    """The name of the variable by the field that it sets."""
    return {field: f"{PREFIX}{field.upper()}" for field in sorted(overrides_from_environment()) if field in FIELDS}


def kept(typed: Typed, name: str, base: str) -> Typed:
    """What was typed, and of fields that cannot be typed what the text `base` says. DeclarationError."""
    of_base = typed_of(parse(name, base, {})) if variables() else {}
    return {key: of_base[key] if key in variables() else texts for key, texts in typed.items()}


def shown(typed: Typed, name: str, text: str) -> tuple[Typed, dict[str, str]]:
    """What a form shows: of fields that are overridden what is in force; and what the journey itself says, in words."""
    try:
        forced, own = parse(name, text, overrides_from_environment()), parse(name, text, {})
    except DeclarationError:
        return typed, {}
    words = {key: FIELDS[key].input.words(getattr(own, key)) for key in variables()}
    values = {key: FIELDS[key].input.show(getattr(forced, key)) for key in variables()}
    return {**typed, **values}, words


def as_decided(name: str, text: str) -> Journey | None:
    """A text as the journey that is decided with, what the environment sets included; None where it is none."""
    try:
        return parse(name, text, overrides_from_environment())
    except DeclarationError:
        return None
