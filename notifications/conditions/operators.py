"""Operators: how a field of each type may be compared, and what each does to a value that is known."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Type(Enum):
    """What a field holds: money in one currency, a number, one text, several texts, or yes or no."""

    MONEY = "money"
    NUMBER = "number"
    TEXT = "text"
    TEXTS = "texts"
    YES_NO = "yes or no"


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A comparison by its name in a journey; `words` stand between field and value. `opposite` is true where it is not.

    `compare(seen, wanted)` is asked for values that are known alone. `takes_value`: it needs one.
    """

    name: str
    words: str
    opposite: str
    compare: Callable[[Any, Any], bool]
    takes_value: bool = True


def _operators(*many: Operator) -> dict[str, Operator]:
    return {one.name: one for one in many}


def _plain(name: str, opposite: str, compare: Callable[[Any, Any], bool], words: str = "") -> Operator:
    return Operator(name=name, words=words or f"is {name}", opposite=opposite, compare=compare)


def _shares(seen: Collection[str], wanted: Collection[str]) -> bool:
    return any(one in wanted for one in seen)


ORDERED = _operators(
    _plain("at least", "less than", lambda seen, wanted: seen >= wanted),
    _plain("less than", "at least", lambda seen, wanted: seen < wanted),
    _plain("more than", "at most", lambda seen, wanted: seen > wanted),
    _plain("at most", "more than", lambda seen, wanted: seen <= wanted),
)
KNOWN = _operators(
    Operator(name="known", words="is known", opposite="unknown", compare=lambda *_: True, takes_value=False),
    Operator(name="unknown", words="is not known", opposite="known", compare=lambda *_: False, takes_value=False),
)
"""True or false for every cart, also where the field is not known."""
OPERATORS: dict[Type, dict[str, Operator]] = {
    Type.MONEY: ORDERED | KNOWN,
    Type.NUMBER: ORDERED | KNOWN,
    Type.TEXT: _operators(
        _plain("one of", "not one of", lambda seen, wanted: seen in wanted),
        _plain("not one of", "one of", lambda seen, wanted: seen not in wanted),
    )
    | KNOWN,
    Type.TEXTS: _operators(
        _plain("including one of", "including none of", _shares, "include one of"),
        _plain(
            "including none of", "including one of", lambda seen, wanted: not _shares(seen, wanted), "include none of"
        ),
    )
    | KNOWN,
    Type.YES_NO: _operators(
        Operator(name="yes", words="yes", opposite="no", compare=lambda seen, _: seen, takes_value=False),
        Operator(name="no", words="no", opposite="yes", compare=lambda seen, _: not seen, takes_value=False),
    )
    | KNOWN,
}
"""The operators of each type by name."""
