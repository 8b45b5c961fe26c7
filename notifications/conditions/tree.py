"""Tree: an audience as typed JSON: groups of comparisons, each of one field with a value."""

from collections.abc import Iterator

import msgspec

Value = tuple[str, ...] | float | None
"""Names or amounts such as `50 EUR`; a number; nothing, where the operator needs no value."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="field"):
    """One field compared with a value. `field` and `operator` are names of `notifications.conditions.fields`."""

    field: str
    operator: str = msgspec.field(name="is")
    value: Value = None


class AllOf(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="all"):
    """True where every one is true, false where one is false."""

    of: tuple["Condition", ...]


class AnyOf(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="any"):
    """True where one is true, false where every one is false."""

    of: tuple["Condition", ...]


class Not(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="not"):
    """The opposite. What is unknown stays unknown."""

    of: "Condition"


Condition = AllOf | AnyOf | Not | Comparison
"""A tree. Its truth has three values, as of SQL and Kleene: a comparison with what is not known is neither true nor
false, and neither is its opposite. A cart belongs to an audience only where the tree is true."""


def comparisons(tree: Condition) -> Iterator[Comparison]:
    """Every comparison of a tree, in the order of writing."""
    match tree:
        case Comparison():
            yield tree
        case Not(of=inner):
            yield from comparisons(inner)
        case AllOf(of=inner) | AnyOf(of=inner):
            for one in inner:
                yield from comparisons(one)
