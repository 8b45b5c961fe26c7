"""Check: whether a tree may be used: its fields, operators, values and size, each error with its place in the tree."""

from math import isfinite

from mesh.errors import DeclarationError
from notifications.conditions.amounts import minor_amounts
from notifications.conditions.fields import FactField, field_of, operator_of
from notifications.conditions.operators import Type
from notifications.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not

MOST_LEVELS = 6
MOST_COMPARISONS = 300
MOST_VALUES = 200
"""Of one comparison."""
LONGEST_VALUE = 200
"""Characters."""


def check(tree: Condition) -> None:
    """DeclarationError for a tree that may not be used: where in it, what is wrong, and what to write instead."""
    if _check(tree, "", 1) > MOST_COMPARISONS:
        raise DeclarationError(f"audience: it may have {MOST_COMPARISONS} conditions at most")


def check_level(level: int, path: str) -> None:
    """DeclarationError for groups that are nested too deeply, as those of a tree that contains itself are."""
    if level > MOST_LEVELS + 1:  # the comparisons of the innermost group are a level of their own
        raise DeclarationError(f"audience: {path}: groups may be nested {MOST_LEVELS} levels deep at most")


def _check(tree: Condition, path: str, level: int) -> int:
    """How many comparisons a part has."""
    check_level(level, path)
    match tree:
        case Comparison():
            try:
                check_comparison(tree)
            except DeclarationError as error:
                raise DeclarationError(f"audience: {path}: {error}" if path else f"audience: {error}") from None
            return 1
        case Not(of=inner):
            return _check(inner, joined(path, "not"), level + 1)
        case AllOf(of=many) | AnyOf(of=many):
            name = "all" if isinstance(tree, AllOf) else "any"
            if not many:
                raise DeclarationError(f"audience: {joined(path, name)}: a group needs at least one condition")
            return sum(_check(one, joined(path, f"{name}[{at}]"), level + 1) for at, one in enumerate(many))


def joined(path: str, name: str) -> str:
    """The path of a part below another one."""
    return f"{path}.{name}" if path else name


def check_comparison(one: Comparison) -> None:
    """DeclarationError for a field or operator that there is not, or a value that the field cannot have."""
    field = field_of(one.field)
    operator = operator_of(field, one.operator)
    if not operator.takes_value:
        if one.value is not None:
            raise DeclarationError(f"{field.name} is {operator.name}: leave out the value")
    elif field.type is Type.NUMBER:
        _check_number(field, one.value)
    else:
        _check_texts(field, one.value)


def _check_number(field: FactField, value: object) -> None:
    if not isinstance(value, int | float) or not isfinite(value):
        raise DeclarationError(f"{field.name}: write a number, such as {field.example}")
    if value < 0 or (field.highest is not None and value > field.highest):
        most = "" if field.highest is None else f" to {field.highest:g}"
        raise DeclarationError(f"{field.name}: {value:g} is no number from 0{most or ' upwards'}")


def _check_texts(field: FactField, value: object) -> None:
    if not isinstance(value, tuple) or not value:
        raise DeclarationError(f"{field.name}: write one or several, such as {field.example}")
    if len(value) > MOST_VALUES:
        raise DeclarationError(f"{field.name}: {len(value)} values are more than {MOST_VALUES}")
    if field.type is Type.MONEY:
        minor_amounts(value)
    for text in value:
        if not text.strip() or text != text.strip() or len(text) > LONGEST_VALUE:
            raise DeclarationError(
                f"{field.name}: {text!r:.60}: write 1 to {LONGEST_VALUE} characters, without spaces around them"
            )
        if words := field.refused(text):
            raise DeclarationError(f"{field.name}: {words}")
