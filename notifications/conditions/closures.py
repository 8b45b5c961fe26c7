"""Closures: a tree as a function of one cart's facts, and the truth of one comparison, which all other forms share."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from notifications.conditions.amounts import minor_amounts
from notifications.conditions.fields import FIELDS
from notifications.conditions.operators import KNOWN, Type
from notifications.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not

Facts = Mapping[str, Any]
"""The value of each field by its name; None, or no entry: not known."""
Truth = bool | None
"""True, false or unknown."""


def compile_audience(tree: Condition) -> Callable[[Facts], bool]:
    """A function that says whether a cart with these facts belongs to the audience: the tree is true."""
    truth = compile_truth(tree)
    return lambda facts: truth(facts) is True


def compile_truth(tree: Condition) -> Callable[[Facts], Truth]:
    """A function that gives the truth of a tree: Kleene's strong logic, as SQL and polars have it."""
    match tree:
        case Comparison(field=field):
            compare = compile_comparison(tree)
            return lambda facts: compare(facts.get(field))
        case Not(of=inner):
            opposite = compile_truth(inner)
            return lambda facts: None if (truth := opposite(facts)) is None else not truth
        case AllOf(of=many):
            return _until(False, [compile_truth(one) for one in many])
        case AnyOf(of=many):
            return _until(True, [compile_truth(one) for one in many])


def _until(decisive: bool, parts: list[Callable[[Facts], Truth]]) -> Callable[[Facts], Truth]:
    """One decisive part decides; without one, an unknown part leaves it unknown."""

    def truth(facts: Facts) -> Truth:
        unknown = False
        for part in parts:
            found = part(facts)
            if found is decisive:
                return decisive
            unknown = unknown or found is None
        return None if unknown else not decisive

    return truth


@lru_cache(maxsize=50_000)
def compile_comparison(one: Comparison) -> Callable[[Any], Truth]:
    """A function from a field's value (None: not known) to the truth of the comparison.

    An amount is compared with the one in its own currency; where there is none in it, the truth is unknown.
    """
    field = FIELDS[one.field]
    operator = field.operators[one.operator]
    compare, wanted = operator.compare, one.value
    if one.operator in KNOWN:
        return lambda seen: (seen is not None) is (operator.name == "known")
    if field.type is Type.MONEY:
        amounts = minor_amounts(wanted if isinstance(wanted, tuple) else ())

        def compare_money(seen: Any) -> Truth:
            if seen is None or (least := amounts.get(seen.currency)) is None:
                return None
            return compare(seen.amount, least)

        return compare_money
    if isinstance(wanted, tuple):
        wanted = frozenset(wanted)  # type: ignore[assignment]  # asked for membership alone
    return lambda seen: None if seen is None else compare(seen, wanted)
