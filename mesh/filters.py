"""Filters: the dialects of CloudEvents Subscriptions 1.0 that every manager must know, over an event's attributes.

https://github.com/cloudevents/spec/blob/main/subscriptions/spec.md (section 3.2.4.1): `exact`, `prefix` and `suffix`
compare attributes as texts, all of those named; `all`, `any` and `not` join filters. An attribute that an event does
not have matches nothing. The optional dialect `sql` is not known here.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mesh.errors import InvalidField

MOST, DEEPEST = 64, 8
"""The most filters of a webhook or function in all, and how deep one may lie in another."""
LONGEST = 256
Matches = Callable[[Mapping[str, str]], bool]
_is_attribute = re.compile(r"[a-z0-9]{1,20}", re.ASCII).fullmatch
_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "exact": str.__eq__,
    "prefix": str.startswith,
    "suffix": str.endswith,
}


def compiled(filters: Sequence[Any], *, path: str = "$.filters") -> Matches:
    """What tells whether an event's attributes match all of these filters; none match everything.

    Raises InvalidField with the path of the filter that is wrong, and what to write instead.
    """
    budget = [MOST]
    return _all(
        [_one(one, f"{path}[{at}]", budget, 1) for at, one in enumerate(_list(filters, path, may_be_empty=True))]
    )


def _one(given: Any, path: str, budget: list[int], depth: int) -> Matches:
    budget[0] -= 1
    if budget[0] < 0 or depth > DEEPEST:
        raise InvalidField(path, f"{MOST} filters are the most, each at most {DEEPEST} deep")
    if not isinstance(given, dict) or len(given) != 1:
        raise InvalidField(path, "a filter is an object with one dialect, such as {'prefix': {'type': 'order.'}}")
    ((dialect, content),) = given.items()
    where = f"{path}.{dialect}"
    if dialect in _COMPARISONS:
        return _comparison(_COMPARISONS[dialect], content, where)
    if dialect == "not":
        negated = _one(content, where, budget, depth + 1)
        return lambda attributes: not negated(attributes)
    if dialect in ("all", "any"):
        parts = [_one(one, f"{where}[{at}]", budget, depth + 1) for at, one in enumerate(_list(content, where))]
        return _all(parts) if dialect == "all" else _any(parts)
    raise InvalidField(where, f"unknown dialect {str(dialect)[:40]!r}; there are exact, prefix, suffix, all, any, not")


def _comparison(compare: Callable[[str, str], bool], content: Any, path: str) -> Matches:
    if not isinstance(content, dict) or not content:
        raise InvalidField(path, "write an attribute and a text, such as {'type': 'order.'}")
    for name, wanted in content.items():
        if not _is_attribute(str(name)):
            raise InvalidField(
                f"{path}.{name}", "an attribute's name is 1 to 20 of a-z and 0-9, such as type or subject"
            )
        if not isinstance(wanted, str) or not 1 <= len(wanted) <= LONGEST:
            raise InvalidField(f"{path}.{name}", f"a text of 1 to {LONGEST} characters")
    pairs = tuple(content.items())

    def matches(attributes: Mapping[str, str]) -> bool:
        return all(name in attributes and compare(attributes[name], wanted) for name, wanted in pairs)

    return matches


def _list(given: Any, path: str, *, may_be_empty: bool = False) -> Sequence[Any]:
    if not isinstance(given, list | tuple) or not (given or may_be_empty):
        raise InvalidField(path, "a list of filters, with at least one")
    return given


def _all(parts: Sequence[Matches]) -> Matches:
    return lambda attributes: all(part(attributes) for part in parts)


def _any(parts: Sequence[Matches]) -> Matches:
    return lambda attributes: any(part(attributes) for part in parts)
