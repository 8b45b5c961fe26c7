"""Rules: what a storefront may say. Derived from the events' own fields, with the limits of a real shop."""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from zoneinfo import available_timezones

from mesh.errors import InvalidKey, UnknownName
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.order import OrderPlaced
from mesh.money import Money
from mesh.subjects import token
from mesh.vocabulary import Vocabulary, vocabularies

MOST_LINES = 200
MOST_PIECES = 1000
MOST_MINOR_UNITS = 10**9
MOST_TEXT = 512
MOST_ADDRESS = 2048
ADDRESSES = ("url", "image", "referrer")
EAST, WEST = 14 * 60, -12 * 60
"""The outermost offsets of clocks on earth, in minutes."""

_control = re.compile(r"[\x00-\x1f\x7f]").search
# The syntax browsers accept, with a domain that has a dot: https://html.spec.whatwg.org/#valid-e-mail-address
_label = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_email = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_label}(?:\.{_label})+").fullmatch


class Wrong(ValueError):
    """A field breaks a rule: where (`path`) and why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path, self.reason = path, reason


@dataclass(frozen=True)
class Fields:
    """A struct's fields by what must be checked of them."""

    ids: tuple[str, ...]
    texts: tuple[tuple[str, int], ...]
    counts: tuple[str, ...]
    money: tuple[str, ...]
    lines: bool
    names: dict[str, Vocabulary[Any]]


@cache
def fields(kind: type) -> Fields:
    """What there is to check of a kind, read from its annotations."""
    ids, texts, counts, money, lines = [], [], [], [], False
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
        elif get_origin(plain) is tuple and get_args(plain)[0] is CartLine:
            lines = True
    return Fields(tuple(ids), tuple(texts), tuple(counts), tuple(money), lines, vocabularies(kind))


def check(happened: Any) -> None:
    """Raise Wrong for the first field of an event that breaks a rule."""
    told = fields(type(happened))
    _check_fields(happened, told, "$")
    _check_names(happened, told)
    offset = getattr(happened, "utc_offset", None)
    if offset is not None and not WEST <= offset <= EAST:
        raise Wrong("$.utc_offset", f"{WEST} to {EAST} minutes east of UTC, not {offset}")
    if told.lines:
        _check_lines(happened.lines)
    match happened:
        case CartUpdated(lines=lines):
            _check_one_currency([line.price.currency for line in lines], "a cart")
        case OrderPlaced(lines=lines, total=total):
            if not lines:
                raise Wrong("$.lines", "an order has at least one line")
            _check_one_currency([*(line.price.currency for line in lines), total.currency], "an order")
        case CustomerIdentified():
            _check_customer(happened)


def _check_fields(value: Any, told: Fields, at: str) -> None:
    for name in told.ids:
        if (given := getattr(value, name)) is not None:
            _check_id(given, name, at)
    for name, most in told.texts:
        if (given := getattr(value, name)) is not None:
            _check_text(given, most, f"{at}.{name}")
    for name in told.money:
        if (given := getattr(value, name)) is not None:
            _check_money(given, f"{at}.{name}")
    for name in told.counts:
        if (given := getattr(value, name)) is not None and not 0 <= given <= MOST_MINOR_UNITS:
            raise Wrong(f"{at}.{name}", f"0 to {MOST_MINOR_UNITS}, not {given}")


def _check_id(given: str, name: str, at: str) -> None:
    try:
        token(given, name)
    except InvalidKey as error:
        raise Wrong(f"{at}.{name}", str(error)) from None


def _check_text(given: str, most: int, at: str) -> None:
    if len(given) > most:
        raise Wrong(at, f"at most {most} characters, not {len(given)}")
    if _control(given):
        raise Wrong(at, "no control characters")


def _check_names(happened: Any, told: Fields) -> None:
    for name, vocabulary in told.names.items():
        try:
            if (given := getattr(happened, name)) is not None:
                vocabulary.require(given)
        except UnknownName as error:
            raise Wrong(f"$.{name}", str(error)) from None


def _check_lines(lines: tuple[CartLine, ...]) -> None:
    if len(lines) > MOST_LINES:
        raise Wrong("$.lines", f"at most {MOST_LINES} lines, not {len(lines)}")
    told = fields(CartLine)
    for index, line in enumerate(lines):
        _check_fields(line, told, at := f"$.lines[{index}]")
        if not 1 <= line.quantity <= MOST_PIECES:
            raise Wrong(f"{at}.quantity", f"1 to {MOST_PIECES} pieces, not {line.quantity}")


def _check_money(money: Money, at: str) -> None:
    if not 0 <= money.amount <= MOST_MINOR_UNITS:
        raise Wrong(f"{at}.amount", f"0 to {MOST_MINOR_UNITS} minor units (cents), not {money.amount}")
    if money.currency not in currencies():
        raise Wrong(
            f"{at}.currency", f"{money.currency[:12]!r} is no ISO 4217 currency; write three letters such as EUR"
        )


def _check_one_currency(found: list[str], what: str) -> None:
    if len(set(found)) > 1:
        raise Wrong("$.lines", f"{what} has one currency, not {' and '.join(sorted(set(found)))}")


def _check_customer(known: CustomerIdentified) -> None:
    local = known.email.partition("@")[0]
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    if len(known.email) > 254 or dots or not _email(known.email):
        raise Wrong("$.email", "not an e-mail address such as ada@example.com")
    if known.time_zone is not None and known.time_zone not in _zones():
        raise Wrong("$.time_zone", f"{known.time_zone[:40]!r} is no IANA time zone such as Europe/Berlin")
    if known.locale is not None and not _is_locale(known.locale):
        raise Wrong("$.locale", f"{known.locale[:40]!r} is no locale such as de-DE")


@cache
def currencies() -> frozenset[str]:
    """All ISO 4217 codes that CLDR knows, also those no longer in use."""
    from babel.numbers import list_currencies  # noqa: PLC0415  babel takes 50 ms that only the gateway needs to spend

    return frozenset(list_currencies())


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=1024)
def _is_locale(text: str) -> bool:
    from babel import Locale, UnknownLocaleError  # noqa: PLC0415  see currencies()

    try:
        Locale.parse(text.replace("-", "_"))
    except (ValueError, TypeError, UnknownLocaleError):
        return False
    return True


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType):
        left = [part for part in get_args(hint) if part is not NoneType]
        return left[0] if len(left) == 1 else hint
    return hint
