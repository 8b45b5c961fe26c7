"""Settings: a frozen struct in the file that uses it, filled from `CARTMESH_<FIELD>` environment variables."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar, get_type_hints

import msgspec

from mesh.errors import DeclarationError

S = TypeVar("S", bound=msgspec.Struct)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def read(kind: type[S], environment: Mapping[str, str] | None = None) -> S:
    """The settings struct with every field that the environment names.

    Durations read `150ms`, `30s`, `30m`, `2h`, `1d`; tuples are separated by commas; true/false for flags.
    DeclarationError names the variable and what it should have been.
    """
    given = os.environ if environment is None else environment
    values: dict[str, object] = {}
    for name, hint in get_type_hints(kind).items():
        text = given.get(variable := f"CARTMESH_{name.upper()}")
        if text is None:
            continue
        try:
            values[name] = _convert(text, hint)
        except (ValueError, msgspec.ValidationError) as error:
            raise DeclarationError(f"{variable}={text!r}: {error}") from None
    return kind(**values)


def duration(text: str) -> timedelta:
    """`30m` as a timedelta; ValueError says which units there are."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text.strip())
    if not found:
        raise ValueError(f"{text!r} is no duration; write 150ms, 30s, 30m, 2h or 1d")
    return timedelta(seconds=float(found[1]) * _UNITS[found[2]])


def _convert(text: str, hint: object) -> object:
    if hint is timedelta or timedelta in getattr(hint, "__args__", ()):
        return duration(text)
    if getattr(hint, "__origin__", None) is tuple:
        return msgspec.convert([part.strip() for part in text.split(",") if part.strip()], hint, strict=False)
    return msgspec.convert(text, hint, strict=False)
