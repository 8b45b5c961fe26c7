"""Field rules: what may stand in the fields of an event from outside, read from their types."""

import re
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from mesh.errors import InvalidField, InvalidKey, UnknownName
from mesh.event import Event
from mesh.events.cart import CartLine
from mesh.money import Money
from mesh.subjects import token
from mesh.vocabulary import Vocabulary, vocabularies

MOST_LINES = 200
MOST_IDS = 100
MOST_PIECES = 1000
MOST_MINOR_UNITS = 10**9
MOST_TEXT = 512
MOST_ADDRESS = 2048
ADDRESSES = ("url", "image", "referrer")
EAST, WEST = 14 * 60, -12 * 60
"""The outermost offsets of clocks on earth, in minutes."""

_control = re.compile(r"[\x00-\x1f\x7f]").search


@dataclass(frozen=True)
class Fields:
    """A struct's fields by what must be checked of them."""

    ids: tuple[str, ...]
    id_lists: tuple[str, ...]
    texts: tuple[tuple[str, int], ...]
    counts: tuple[str, ...]
    money: tuple[str, ...]
    lines: tuple[str, ...]
    names: dict[str, Vocabulary[Any]]


@cache
def fields(kind: type) -> Fields:
    """What there is to check of a kind, read from its annotations."""
    ids, id_lists, texts, counts, money, lines = [], [], [], [], [], []
    for name, hint in get_type_hints(kind).items():
        plain = _without_none(hint)
        if plain is str and name.endswith("_id"):
            ids.append(name)
        elif plain is str:
            texts.append((name, MOST_ADDRESS if name in ADDRESSES else MOST_TEXT))
        elif plain is int and name != "utc_offset":
            counts.append(name)
        elif plain is Money:
            money.append(name)
        elif plain == tuple[str, ...] and name.endswith("_ids"):
            id_lists.append(name)
        elif get_origin(plain) is tuple and get_args(plain)[0] is CartLine:
            lines.append(name)
    return Fields(
        ids=tuple(ids),
        id_lists=tuple(id_lists),
        texts=tuple(texts),
        counts=tuple(counts),
        money=tuple(money),
        lines=tuple(lines),
        names=vocabularies(kind),
    )


def check(happened: Event) -> None:
    """Raise InvalidField for the first field of an event that breaks a rule."""
    rules = fields(type(happened))
    _check_fields(happened, rules, "$")
    _check_names(happened, rules)
    offset = getattr(happened, "utc_offset", None)
    if offset is not None and not WEST <= offset <= EAST:
        raise InvalidField("$.utc_offset", f"{WEST} to {EAST} minutes east of UTC, not {offset}")
    for name in rules.id_lists:
        _check_ids(getattr(happened, name), name)
    for name in rules.lines:
        _check_lines(getattr(happened, name), f"$.{name}")


def _check_fields(value: Any, rules: Fields, at: str) -> None:
    for name in rules.ids:
        if (given := getattr(value, name)) is not None:
            _check_id(given, name, at)
    for name, most in rules.texts:
        if (given := getattr(value, name)) is not None:
            _check_text(given, most, f"{at}.{name}")
    for name in rules.money:
        if (given := getattr(value, name)) is not None:
            _check_money(given, f"{at}.{name}")
    for name in rules.counts:
        if (given := getattr(value, name)) is not None and not 0 <= given <= MOST_MINOR_UNITS:
            raise InvalidField(f"{at}.{name}", f"0 to {MOST_MINOR_UNITS}, not {given}")


def _check_id(given: str, name: str, at: str) -> None:
    try:
        token(given, name)
    except InvalidKey as error:
        raise InvalidField(f"{at}.{name}", str(error)) from None


def _check_ids(given: tuple[str, ...], name: str) -> None:
    if not 1 <= len(given) <= MOST_IDS:
        raise InvalidField(f"$.{name}", f"1 to {MOST_IDS} ids, not {len(given)}")
    for index, one in enumerate(given):
        _check_id(one, f"{name}[{index}]", "$")


def _check_text(given: str, most: int, at: str) -> None:
    if len(given) > most:
        raise InvalidField(at, f"at most {most} characters, not {len(given)}")
    if _control(given):
        raise InvalidField(at, "no control characters")


def _check_names(happened: Event, rules: Fields) -> None:
    for name, vocabulary in rules.names.items():
        try:
            if (given := getattr(happened, name)) is not None:
                vocabulary.require(given)
        except UnknownName as error:
            raise InvalidField(f"$.{name}", str(error)) from None


def _check_lines(lines: tuple[CartLine, ...], path: str) -> None:
    if len(lines) > MOST_LINES:
        raise InvalidField(path, f"at most {MOST_LINES} lines, not {len(lines)}")
    rules = fields(CartLine)
    for index, line in enumerate(lines):
        _check_fields(line, rules, at := f"{path}[{index}]")
        if not 1 <= line.quantity <= MOST_PIECES:
            raise InvalidField(f"{at}.quantity", f"1 to {MOST_PIECES} pieces, not {line.quantity}")


def _check_money(money: Money, at: str) -> None:
    if not 0 <= money.amount <= MOST_MINOR_UNITS:
        raise InvalidField(f"{at}.amount", f"0 to {MOST_MINOR_UNITS} minor units (cents), not {money.amount}")
    if money.currency not in currencies():
        raise InvalidField(
            f"{at}.currency", f"{money.currency[:12]!r} is no ISO 4217 currency; write three letters such as EUR"
        )


@cache
def currencies() -> frozenset[str]:
    """All ISO 4217 codes that CLDR knows, also those no longer in use."""
    from babel.numbers import list_currencies  # noqa: PLC0415  babel takes 50 ms that only the gateway needs to spend

    return frozenset(list_currencies())


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType):
        left = [part for part in get_args(hint) if part is not NoneType]
        return left[0] if len(left) == 1 else hint
    return hint
