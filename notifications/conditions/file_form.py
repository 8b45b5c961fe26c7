"""File form: an audience as people write it in a journey's TOML, such as `all = [{ field = "cart.lines", ... }]`."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from mesh.errors import DeclarationError
from notifications.conditions.check import check, check_level, joined
from notifications.conditions.fields import FIELDS
from notifications.conditions.operators import Type
from notifications.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not

GROUPS = {"all": AllOf, "any": AnyOf}
KEYS = ("field", "is", "value")
EXAMPLE = '{ field = "cart.value", is = "at least", value = ["50 EUR"] }'


def read_audience(table: object) -> Condition:
    """The tree that a table of a file describes, checked. DeclarationError says where in it something is wrong."""
    tree = _read(table, "", 1)
    check(tree)
    return tree


def audience_table(tree: Condition) -> dict[str, Any]:
    """A tree as a table of a file, of which `read_audience` reads the same tree."""
    match tree:
        case AllOf(of=many):
            return {"all": [audience_table(one) for one in many]}
        case AnyOf(of=many):
            return {"any": [audience_table(one) for one in many]}
        case Not(of=inner):
            return {"not": audience_table(inner)}
        case Comparison(field=field, operator=operator, value=value):
            table: dict[str, Any] = {"field": field, "is": operator}
            return table if value is None else table | {"value": list(value) if isinstance(value, tuple) else value}


def _read(table: object, path: str, level: int) -> Condition:
    check_level(level, path)
    if not isinstance(table, Mapping):
        raise _wrong(path, f"write a condition, such as {EXAMPLE}, or a group: all, any or not")
    if "field" in table:
        return _comparison(table, path)
    if len(table) != 1:
        raise _wrong(path, f"write one of all, any and not, not {', '.join(map(str, table)) or 'nothing'}")
    [(name, inner)] = table.items()
    below = joined(path, str(name))
    if name == "not":
        return Not(of=_read(inner, below, level + 1))
    if name not in GROUPS:
        near = get_close_matches(str(name), (*GROUPS, "not", *KEYS), n=1)
        raise _wrong(path, f"there is no {name}; {f'did you mean {near[0]}?' if near else 'write all, any or not'}")
    if not isinstance(inner, list | tuple):
        raise _wrong(below, f"write a list of conditions, such as [{EXAMPLE}]")
    return GROUPS[name](of=tuple(_read(one, f"{below}[{at}]", level + 1) for at, one in enumerate(inner)))


def _comparison(table: Mapping[Any, Any], path: str) -> Comparison:
    for key in table:
        if key not in KEYS:
            near = get_close_matches(str(key), KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(KEYS)}"
            raise _wrong(path, f"a condition has no {key}; {hint}")
    field, operator, value = (table.get(key) for key in KEYS)
    if not isinstance(field, str) or not isinstance(operator, str):
        raise _wrong(path, f"field and is are texts, as in {EXAMPLE}")
    return Comparison(field=field, operator=operator, value=_value(value, field, path))


def _value(value: object, field: str, path: str) -> tuple[str, ...] | float | None:
    """A single text is a list of one."""
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if isinstance(value, str):
        return (value,)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    known = FIELDS.get(field)
    wanted = "a number" if known and known.type is Type.NUMBER else "texts in quotation marks"
    raise _wrong(path, f"value: write {wanted}{f', such as {known.example}' if known and known.example else ''}")


def _wrong(path: str, words: str) -> DeclarationError:
    return DeclarationError(f"audience: {path}: {words}" if path else f"audience: {words}")
