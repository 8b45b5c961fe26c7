"""Lenient JSON: what senders write that is nearly JSON: a text cut inside an emoji, bytes that are no UTF-8."""

import json
from typing import Any, NoReturn

import msgspec


def decoded(body: bytes) -> Any:
    """The value of a JSON text, with halves of surrogate pairs, and with bytes that are no UTF-8 as such halves.

    Raises ValueError for what is no JSON, and RecursionError for what is nested too deeply.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(body.decode("utf-8", "surrogateescape"), parse_constant=_refuse_constant)


def encoded(value: Any) -> bytes:
    """A value as JSON text, also where its texts have such halves."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
