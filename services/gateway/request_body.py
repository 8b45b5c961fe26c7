"""Request body: the JSON of a request becomes values, as much of it as is right."""

import difflib
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn, TypeVar, get_args, get_origin

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException

from mesh.errors import InvalidField
from mesh.lenient_json import decoded
from mesh.money import Money
from services.gateway.field_rules import LeftOut, optional_fields, rules, without_none

S = TypeVar("S", bound=msgspec.Struct)

MOST_NAMED = 5
"""How many unknown fields of one event are named in the answer."""
MONEY = 'an amount in minor units (cents) with its currency, such as {"amount": 1299, "currency": "EUR"}'
_missing = re.compile(r"missing required field `(\w+)`").search


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a request; each event stays raw so that a bad one spoils nothing."""

    events: list[msgspec.Raw]


_body = msgspec.json.Decoder(Body)


async def body_of(request: Request[Any, Any, Any]) -> bytes:
    """The bytes of a request. Raises 413."""
    try:
        return await request.body()
    except HTTPException as error:
        if error.status_code != 413:
            raise
        raise HTTPException("the body is over 1 MiB: send several requests", status_code=413) from None


def open_request(body: bytes) -> list[msgspec.Raw]:
    """The raw events of a request. Raises msgspec.DecodeError where it is not `{"events": [...]}`.

    A text that was cut inside an emoji, or broken UTF-8, spoils its own event alone.
    """
    try:
        return _body.decode(body).events
    except (msgspec.DecodeError, UnicodeDecodeError):
        with suppress(ValueError):
            found = decoded(body)
            if isinstance(found, dict) and isinstance(found.get("events"), list):
                return [msgspec.Raw(json.dumps(one).encode()) for one in found["events"]]
        raise


def fields_of(raw: msgspec.Raw) -> dict[str, Any]:
    """The fields of a raw event. Raises InvalidField where it is no JSON object."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            found = decoded(bytes(raw))
        except (ValueError, RecursionError):
            raise InvalidField("$", str(error)) from None
    if not isinstance(found, dict):
        raise InvalidField("$", f"Expected `object`, got `{type(found).__name__}`")
    return found


def convert(kind: type[S], fields: dict[str, Any], ignored: LeftOut, *, at: str = "$", **options: Any) -> S:
    """A struct of these fields, without optional ones of another type: those are added to `ignored`.

    `options` are those of `_convert_each`. Raises InvalidField for the first field that cannot be left out.
    """
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError:
        return _convert_each(kind, fields, ignored, at, **options)


def _convert_each(
    kind: type[S],
    fields: dict[str, Any],
    ignored: LeftOut,
    at: str,
    required: tuple[str, ...] = (),
    whole: bool = False,
) -> S:
    values: dict[str, Any] = {}
    may_be_absent = () if whole else optional_fields(kind)
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name not in fields:
            if field.required:
                raise InvalidField(f"{at}.{name}", f"missing required field `{name}`")
            continue
        try:
            values[name] = _convert_value(fields[name], field.type, f"{at}.{name}", ignored)
        except InvalidField as wrong:
            if name not in may_be_absent or name in required:
                raise
            ignored.append(wrong)
    return kind(**values)


def valid_fields(kind: type[msgspec.Struct], fields: dict[str, Any]) -> dict[str, Any]:
    """Those fields of a kind that are right, each judged by itself; those that were not sent with their defaults."""
    found, known = {}, rules(kind)
    for field in msgspec.structs.fields(kind):
        with suppress(InvalidField):
            sent = fields.get(field.encode_name, field.default)
            value = _convert_value(sent, field.type, "$", [])
            rule = known.get(field.name)
            found[field.name] = value if rule is None or value is None else rule(value, f"$.{field.name}", [])
    return found


def unknown_fields(fields: dict[str, Any], kind: type[msgspec.Struct], others: Iterable[str]) -> LeftOut:
    """The fields that neither a kind nor `others` know, also those of its lines; at most `MOST_NAMED`."""
    found: LeftOut = []
    known = _known_fields(kind)
    _name_unknown(fields, known.names.union(others), "$", found)
    for name, names in known.lines.items():
        for index, one in enumerate(fields.get(name) or ()):
            if isinstance(one, dict):
                _name_unknown(one, names, f"$.{name}[{index}]", found)
    return found[:MOST_NAMED]


@dataclass(frozen=True)
class _Known:
    """The names of a kind's fields, and of its lines' fields by the field that holds the lines."""

    names: frozenset[str]
    lines: dict[str, frozenset[str]]


@cache
def _known_fields(kind: type[msgspec.Struct]) -> _Known:
    """Cached: msgspec reads the annotations each time, for longer than it takes to decode an event."""
    fields, lines = msgspec.structs.fields(kind), {}
    for field in fields:
        line = (get_args(field.type) or (None,))[0]
        if get_origin(field.type) is tuple and isinstance(line, type) and issubclass(line, msgspec.Struct):
            lines[field.encode_name] = frozenset(one.encode_name for one in msgspec.structs.fields(line))
    return _Known(frozenset(field.encode_name for field in fields), lines)


def _name_unknown(fields: dict[str, Any], known: frozenset[str], at: str, found: LeftOut) -> None:
    for name in [name for name in fields if name not in known] if len(found) < MOST_NAMED else ():
        close = difflib.get_close_matches(name, known, 1)
        shown = name[:40].encode("utf-8", "backslashreplace").decode()
        found.append(
            InvalidField(f"{at}.{shown}", f"unknown field; did you mean `{close[0]}`?" if close else "unknown field")
        )


def _convert_value(given: Any, hint: Any, at: str, ignored: LeftOut) -> Any:
    plain = without_none(hint)
    line = get_args(plain)[0] if get_origin(plain) is tuple else None
    if isinstance(line, type) and issubclass(line, msgspec.Struct) and isinstance(given, list):
        return tuple(_convert_line(line, one, ignored, f"{at}[{index}]") for index, one in enumerate(given))
    try:
        return msgspec.convert(given, hint)
    except msgspec.ValidationError as error:
        _refuse(str(error), at, is_amount=plain is Money and not isinstance(given, dict))


def _convert_line(kind: type[S], given: Any, ignored: LeftOut, at: str) -> S:
    if not isinstance(given, dict):
        raise InvalidField(at, f"Expected `object`, got `{type(given).__name__}`")
    return convert(kind, given, ignored, at=at)


def _refuse(message: str, at: str, *, is_amount: bool) -> NoReturn:
    """Raise an error of msgspec with the whole path, and say what to write instead."""
    reason, _, inside = message.partition(" - at `$")
    path = at + inside.rstrip("`")
    if missing := _missing(reason):
        raise InvalidField(f"{path}.{missing[1]}", f"missing required field `{missing[1]}`")
    if is_amount:
        raise InvalidField(path, f"{reason}: {MONEY}")
    if path.endswith(".amount"):
        raise InvalidField(path, f"{reason}: an amount counts minor units, 1299 for 12.99")
    raise InvalidField(path, reason)
