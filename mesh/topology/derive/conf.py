"""Conf: nested values as a nats-server configuration."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mesh.topology.secrets import Plain

_word = re.compile(r"[a-z_A-Z][\w.]*", re.ASCII).fullmatch


def written(values: Mapping[str, Any]) -> str:
    """The configuration's text: maps as blocks, strings quoted except those that are `Plain`."""
    return "\n".join(line for name, value in values.items() for line in _entry(name, value, "")) + "\n"


def _entry(name: str, value: Any, margin: str) -> Iterator[str]:
    key = name if _word(name) else json.dumps(name)
    if isinstance(value, Mapping):
        yield f"{margin}{key} {{"
        for inner, setting in value.items():
            yield from _entry(inner, setting, margin + "  ")
        yield f"{margin}}}"
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        yield f"{margin}{key}: ["
        for one in value:
            yield f"{margin}  {{"
            for inner, setting in one.items():
                yield from _entry(inner, setting, margin + "    ")
            yield f"{margin}  }}"
        yield f"{margin}]"
    else:
        yield f"{margin}{key}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return f"[ {', '.join(map(_scalar, value))} ]"
    return str(value) if isinstance(value, Plain) else json.dumps(value)
