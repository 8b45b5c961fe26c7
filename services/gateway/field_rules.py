"""Field rules: what may stand in the fields of an event from outside, read from their types."""

from collections.abc import Callable
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from mesh.errors import InvalidField, InvalidKey, UnknownName
from mesh.events.cart import CartLine
from mesh.money import Money
from mesh.subjects import token
from mesh.text import cleaned_text
from mesh.vocabulary import Vocabulary, vocabularies

S = TypeVar("S", bound=msgspec.Struct)

MOST_LINES = 200
MOST_IDS = 100
MOST_PIECES = 1000
MOST_MINOR_UNITS = 10**9
MOST_TEXT = 512
MOST_ADDRESS = 2048
ADDRESSES = ("url", "image", "referrer")
EAST, WEST = 14 * 60, -12 * 60
"""The outermost offsets of clocks on earth, in minutes."""

Rule = Callable[[Any, str, "LeftOut"], Any]
"""Takes a field's value, its path, and what was left out so far; returns the value to store. Raises InvalidField."""
LeftOut = list[InvalidField]
"""The optional fields that were left out, each with what was wrong with it."""


def cleaned(value: S, ignored: LeftOut, *, at: str = "$", required: tuple[str, ...] = (), whole: bool = False) -> S:
    """A struct with its texts tidied and without the optional fields that break a rule; those are added to `ignored`.

    Raises InvalidField for a field that cannot be left out, with `whole` for every field.
    """
    changes: dict[str, Any] = {}
    may_be_absent = () if whole else optional_fields(type(value))
    for name, rule in rules(type(value)).items():
        given = getattr(value, name)
        if given is None:
            continue
        try:
            kept = rule(given, f"{at}.{name}", ignored)
        except InvalidField as wrong:
            if name not in may_be_absent or name in required:
                raise
            ignored.append(wrong)
            kept = None
        if kept == "" and name in may_be_absent and name not in required:
            kept = None
        if kept is not given:
            changes[name] = kept
    return msgspec.structs.replace(value, **changes) if changes else value


@cache
def optional_fields(kind: type[msgspec.Struct]) -> frozenset[str]:
    """The fields that an event may do without: absent, they mean nothing else than that they are not known."""
    return frozenset(field.name for field in msgspec.structs.fields(kind) if field.default is None)


@cache
def rules(kind: type[msgspec.Struct]) -> dict[str, Rule]:
    """Field -> its rule, read from the annotations of a struct."""
    names = vocabularies(kind)
    found = {name: _rule(name, without_none(hint), names.get(name)) for name, hint in get_type_hints(kind).items()}
    return {name: rule for name, rule in found.items() if rule is not None}


def without_none(hint: Any) -> Any:
    """The type of a field that may be None, without the None."""
    if get_origin(hint) in (Union, UnionType):
        left = [part for part in get_args(hint) if part is not NoneType]
        return left[0] if len(left) == 1 else hint
    return hint


def _rule(name: str, plain: Any, vocabulary: "Vocabulary[Any] | None") -> Rule | None:  # noqa: PLR0911  one per type
    if vocabulary is not None:
        return partial(_check_name, vocabulary)
    if plain is str:
        most = MOST_ADDRESS if name in ADDRESSES else MOST_TEXT
        return _check_id if name.endswith("_id") else partial(_check_text, most)
    if plain is int:
        lowest, highest, of = _BOUNDS.get(name, (0, MOST_MINOR_UNITS, ""))
        return partial(_check_number, lowest, highest, of)
    if plain is Money:
        return _check_money
    if plain == tuple[str, ...] and name.endswith("_ids"):
        return _check_ids
    if get_origin(plain) is tuple and get_args(plain)[0] is CartLine:
        return _check_lines
    return None


_BOUNDS = {
    "utc_offset": (WEST, EAST, " minutes east of UTC"),
    "quantity": (1, MOST_PIECES, " pieces"),
}


def _check_id(given: str, at: str, _: LeftOut) -> str:
    try:
        return token(given, at.rpartition(".")[2])
    except InvalidKey as error:
        raise InvalidField(at, _printable(str(error))) from None


def _check_ids(given: tuple[str, ...], at: str, ignored: LeftOut) -> tuple[str, ...]:
    if not 1 <= len(given) <= MOST_IDS:
        raise InvalidField(at, f"1 to {MOST_IDS} ids, not {len(given)}")
    for index, one in enumerate(given):
        _check_id(one, f"{at}[{index}]", ignored)
    return given


def _check_text(most: int, given: str, at: str, _: LeftOut) -> str:
    kept = cleaned_text(given, at)
    if len(kept) > most:
        raise InvalidField(at, f"at most {most} characters, not {len(kept)}")
    return kept


def _check_number(lowest: int, highest: int, of: str, given: int, at: str, _: LeftOut) -> int:
    if not lowest <= given <= highest:
        raise InvalidField(at, f"{lowest} to {highest}{of}, not {given}")
    return given


def _check_name(vocabulary: "Vocabulary[Any]", given: str, at: str, _: LeftOut) -> str:
    try:
        vocabulary.require(given)
    except UnknownName as error:
        raise InvalidField(at, _printable(str(error))) from None
    return given


def _check_lines(given: tuple[CartLine, ...], at: str, ignored: LeftOut) -> tuple[CartLine, ...]:
    if len(given) > MOST_LINES:
        raise InvalidField(at, f"at most {MOST_LINES} lines, not {len(given)}")
    kept = tuple(cleaned(line, ignored, at=f"{at}[{index}]") for index, line in enumerate(given))
    return given if all(one is other for one, other in zip(given, kept, strict=True)) else kept


def _check_money(money: Money, at: str, _: LeftOut) -> Money:
    if not 0 <= money.amount <= MOST_MINOR_UNITS:
        raise InvalidField(f"{at}.amount", f"0 to {MOST_MINOR_UNITS} minor units (cents), not {money.amount}")
    if money.currency not in currencies():
        raise InvalidField(
            f"{at}.currency",
            f"{_printable(money.currency[:12])!r} is no ISO 4217 currency; write three letters such as EUR",
        )
    return money


def _printable(text: str) -> str:
    """A text that can be written into an answer, whatever was sent."""
    return text.encode("utf-8", "backslashreplace").decode()


@cache
def currencies() -> frozenset[str]:
    """All ISO 4217 codes that CLDR knows, also those no longer in use."""
    from babel.numbers import list_currencies  # noqa: PLC0415  babel takes 50 ms that only the gateway needs to spend

    return frozenset(list_currencies())
