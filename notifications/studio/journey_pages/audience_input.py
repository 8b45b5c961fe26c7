"""Audience input: an audience as the rows of a form, a row for each group and each condition, read and said again."""

import csv
from collections.abc import Sequence
from decimal import Decimal

import tomlkit
from tomlkit.items import Table

from mesh.errors import DeclarationError
from notifications.conditions.check import check, check_comparison
from notifications.conditions.fields import FIELDS, FactField, operator_of
from notifications.conditions.file_form import audience_table
from notifications.conditions.operators import Type
from notifications.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not
from notifications.conditions.words import sentence_of, subject_of
from notifications.studio.journey_pages.inputs import Input, Texts

PARTS = ("kind", "level", "is", "value")
"""The controls of each row: a kind of group or the name of a field, how deep it stands, the operator, the value."""
ALL, ANY, NONE, NOT_ALL = "all", "any", "none", "not all"
GROUPS = {ALL: "All of these", ANY: "At least one of these", NONE: "None of these", NOT_ALL: "Not all of these"}
"""The kinds of groups, as the form calls them."""
Row = tuple[str, str, str, str]
EMPTY: Row = (ALL, "0", "", "")


def audience() -> Input:
    """The conditions that a cart must meet."""
    return Input(
        control="audience",
        show=lambda tree: texts_of(_rows(normal(tree), 0) if tree else [EMPTY]),
        read=lambda texts: read_rows(rows_of(texts)),
        words=lambda tree: sentence_of(tree) if tree else "every cart",
        write=lambda tree: _toml(tree) if tree else None,
        parts=PARTS,
        same=lambda one, other: (one and normal(one)) == (other and normal(other)),
    )


def rows_of(texts: Texts) -> list[Row]:
    """The rows that a form holds, the outermost group first, and all others in it."""
    rows = [
        (kind, level, is_, value) for kind, level, is_, value in zip(*(texts[part] for part in PARTS), strict=False)
    ]
    outermost, *inner = rows if rows and rows[0][0] in GROUPS else [EMPTY, *rows]
    return [outermost, *((row[0], str(max(level_of(row), 1)), *row[2:]) for row in inner)]


def texts_of(rows: Sequence[Row]) -> Texts:
    """Rows as the texts of a form."""
    return {part: [row[at] for row in rows] for at, part in enumerate(PARTS)}


def level_of(row: Row) -> int:
    """How deep a row stands; the outermost group, and what is no number, at 0."""
    return int(row[1]) if row[1].isascii() and row[1].isdigit() and len(row[1]) < 3 else 0


def normal(tree: Condition) -> Condition:
    """The same tree as a form has it: a group outermost, and `not` before groups alone."""
    found = _normal(tree)
    return AllOf(of=(found,)) if isinstance(found, Comparison) else found


def _normal(tree: Condition) -> Condition:
    match tree:
        case Not(of=Not(of=inner)):
            return _normal(inner)
        case Not(of=Comparison(field=field, operator=operator, value=value)):
            return Comparison(field=field, operator=FIELDS[field].operators[operator].opposite, value=value)
        case Not(of=inner):
            return Not(of=_normal(inner))
        case AllOf(of=many) | AnyOf(of=many):
            return type(tree)(of=tuple(_normal(one) for one in many))
        case _:
            return tree


def _rows(tree: Condition, level: int) -> list[Row]:
    match tree:
        case Comparison(field=field, operator=operator, value=value):
            return [(field, str(level), operator, _written(value))]
        case Not(of=AllOf(of=many)):
            kind = NOT_ALL
        case Not(of=AnyOf(of=many)):
            kind = NONE
        case AllOf(of=many):
            kind = ALL
        case AnyOf(of=many):
            kind = ANY
    return [(kind, str(level), "", ""), *(row for one in many for row in _rows(one, level + 1))]


def read_rows(rows: Sequence[Row]) -> Condition | None:
    """The tree of these rows; None where there is no condition in them. DeclarationError names the condition.

    A group without a condition is none. A row that stands deeper than a group above it stands in that group.
    """
    tree = _read(rows, 0)[0]
    if tree is not None:
        check(tree)
    return tree


def _read(rows: Sequence[Row], at: int) -> tuple[Condition | None, int]:
    """What begins at a row, and where the next one begins."""
    kind, level = rows[at][0], level_of(rows[at])
    at += 1
    if kind not in GROUPS:
        return read_condition(rows[at - 1]), at
    found = []
    while at < len(rows) and level_of(rows[at]) > level:
        one, at = _read(rows, at)
        found.append(one)
    many = tuple(one for one in found if one is not None)
    if not many:
        return None, at
    group = AllOf(of=many) if kind in (ALL, NOT_ALL) else AnyOf(of=many)
    return (Not(of=group) if kind in (NONE, NOT_ALL) else group), at


def read_condition(row: Row) -> Comparison:
    """The comparison of a row. DeclarationError says what to write, with the field called as the form calls it."""
    name, _, is_, written = row
    field = FIELDS.get(name)
    if field is None:
        raise DeclarationError(f"there is no field {name!r:.60}: remove this condition, and add another one")
    try:
        value = _value(field, written) if operator_of(field, is_).takes_value else None
        found = Comparison(field=name, operator=is_, value=value)
        check_comparison(found)
    except DeclarationError as error:
        words = str(error).removeprefix(f"{name}: ").removeprefix(f"{name} ")
        raise DeclarationError(f"{subject_of(field)}: {words}") from None
    return found


def _value(field: FactField, written: str) -> tuple[str, ...] | float:
    if field.type is Type.NUMBER:
        try:
            return float(written.strip().removesuffix(field.unit).strip().replace(",", "."))
        except ValueError:
            raise DeclarationError(f"write a number, such as {field.example}") from None
    try:
        [texts] = csv.reader([" ".join(written.split())], skipinitialspace=True) if written.strip() else [[]]
    except csv.Error:
        raise DeclarationError(f"this is too long; write them like {field.example}") from None
    texts = [text.strip() for text in texts if text.strip()]
    return tuple(text.upper() if field.type is Type.MONEY else text for text in texts)


def _written(value: tuple[str, ...] | float | None) -> str:
    """A value as people write it: texts are separated by commas, one with a comma in it stands in quotation marks."""
    if not isinstance(value, tuple):
        number = "" if value is None else f"{Decimal(repr(value)):f}"
        return number.rstrip("0").rstrip(".") if "." in number else number
    return ", ".join('"{}"'.format(text.replace('"', '""')) if {",", '"'} & set(text) else text for text in value)


def _toml(tree: Condition) -> Table:
    """A tree as the table `[audience]` of a journey, one condition on each line."""
    lines = ["[audience]"]
    [(name, inner)] = audience_table(tree).items()
    lines.append(f"{name} = {_toml_value(inner, 0)}\n")
    return tomlkit.parse("\n".join(lines))["audience"]  # type: ignore[return-value]  # a table, as its first line says


def _toml_value(value: object, depth: int) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml_value(one, depth)}" for name, one in value.items()) + " }"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        inner = "".join(f"{'  ' * (depth + 1)}{_toml_value(one, depth + 1)},\n" for one in value)
        return f"[\n{inner}{'  ' * depth}]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return tomlkit.item(value).as_string()
