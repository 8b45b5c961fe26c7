"""Settings: a frozen struct in the file that uses it, filled from `CARTMESH_<FIELD>` environment variables."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, TypeVar, get_args, get_type_hints

import msgspec

from mesh.errors import DeclarationError

S = TypeVar("S", bound=msgspec.Struct)
Secret = Annotated[str, msgspec.Meta(min_length=16)]
"""A text that whoever knows it can forge with. A setting of this type has no default: all would know it."""
HOW_TO_CHOOSE = (
    "a random text of at least 16 characters (openssl rand -hex 32), the same for all services in every region"
)
_PUBLISHED = "cartmesh-on-a-laptop"
"""Was the default of secrets."""
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def read(kind: type[S], environment: Mapping[str, str] | None = None) -> S:
    """The settings struct with every field that the environment names.

    Durations read `150ms`, `30s`, `30m`, `2h`, `1d`; tuples are separated by commas; true/false for flags.
    DeclarationError names the variable and what it should have been, also where a field without a default is not set.
    """
    given = os.environ if environment is None else environment
    values: dict[str, object] = {}
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        text = given.get(variable := f"CARTMESH_{name.upper()}")
        optional = Secret in get_args(hint)
        if hint is Secret or (optional and text):
            values[name] = read_secret(variable, text)
        elif text is None or optional:
            if name in required:  # a struct's own error would not name the variable
                raise DeclarationError(f"{variable} is not set")
        else:
            values[name] = _from_text(variable, text, hint)
    return kind(**values)


def read_secret(variable: str, text: str | None) -> str:
    """The value of a secret setting; DeclarationError where it is missing or could be guessed. It is never shown."""
    if not text:
        raise DeclarationError(f"{variable} is not set: it must be {HOW_TO_CHOOSE}")
    if text == _PUBLISHED:
        raise DeclarationError(f"{variable} has a value that stands in Cartmesh's source: it must be {HOW_TO_CHOOSE}")
    try:
        return msgspec.convert(text, Secret)
    except msgspec.ValidationError:
        raise DeclarationError(f"{variable} has {len(text)} characters: it must be {HOW_TO_CHOOSE}") from None


def duration(text: str) -> timedelta:
    """`30m` as a timedelta; ValueError says which units there are."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text.strip())
    if not found:
        raise ValueError(f"{text!r} is no duration; write 150ms, 30s, 30m, 2h or 1d")
    return timedelta(seconds=float(found[1]) * _UNITS[found[2]])


def _from_text(variable: str, text: str, hint: object) -> object:
    try:
        return _convert(text, hint)
    except (ValueError, msgspec.ValidationError) as error:
        raise DeclarationError(f"{variable}={text!r}: {error}") from None


def _convert(text: str, hint: object) -> object:
    if hint is timedelta or timedelta in getattr(hint, "__args__", ()):
        return duration(text)
    if getattr(hint, "__origin__", None) is tuple:
        return msgspec.convert([part.strip() for part in text.split(",") if part.strip()], hint, strict=False)
    return msgspec.convert(text, hint, strict=False)
