"""Words: an audience as a sentence, and what a cart's facts say to it."""

from collections.abc import Iterator, Sequence
from typing import Any

from notifications.conditions.closures import Facts, Truth, compile_truth
from notifications.conditions.fields import FIELDS, FactField
from notifications.conditions.operators import KNOWN, Operator, Type
from notifications.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not

EVERYONE = "everyone"
MOST_SHOWN = 8
"""Conditions that a check shows."""
MOST_NAMED = 12
"""Values that are named of one condition."""
NOT_SHOWN = "not shown, as it is personal"


def sentence_of(tree: Condition | None) -> str:
    """An audience in words, such as `cart value is at least 50 EUR and (language is de or fr)`; None: everyone."""
    return EVERYONE if tree is None else _words(tree, outermost=True)


def _words(tree: Condition, *, outermost: bool = False) -> str:
    match tree:
        case Comparison():
            return comparison_in_words(tree)
        case Not(of=inner):
            return f"not ({_words(inner, outermost=True)})"
        case AllOf(of=many) | AnyOf(of=many):
            words = (" and " if isinstance(tree, AllOf) else " or ").join(_words(one) for one in many)
            return words if outermost or len(many) == 1 else f"({words})"


def comparison_in_words(one: Comparison) -> str:
    """One comparison, such as `cart value is at least 50 EUR or 55 USD`."""
    field = FIELDS[one.field]
    operator = field.operators[one.operator]
    if field.type is Type.YES_NO and one.operator not in KNOWN:
        return field.says[one.operator == "no"]
    return f"{subject_of(field)} {_wanted(one, field, operator)}"


def subject_of(field: FactField) -> str:
    """A field's label within a sentence."""
    return field.label[0].lower() + field.label[1:]


def explained(tree: Condition, facts: Facts, *, belongs: bool) -> str:
    """What decided: the conditions that were met, with the values seen, or those that were not, and why.

    A personal value is not shown: decisions are read in other regions, and outlive the erasure of a person.
    """
    found = list(dict.fromkeys(_deciding(tree, facts, True, belongs)))
    shown = "; ".join(found[:MOST_SHOWN])
    return f"{shown}; and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else shown


def _deciding(tree: Condition, facts: Facts, positive: bool, belongs: bool) -> Iterator[str]:
    match tree:
        case Not(of=inner):
            yield from _deciding(inner, facts, not positive, belongs)
        case Comparison():
            yield _seen(tree, facts, positive, belongs)
        case AllOf(of=many) | AnyOf(of=many):
            holding = [one for one in many if (_truth(one, facts) is positive) is belongs]
            every = isinstance(tree, AllOf) is positive
            for one in holding[:1] if belongs and not every else holding:
                yield from _deciding(one, facts, positive, belongs)


def _truth(tree: Condition, facts: Facts) -> Truth:
    return compile_truth(tree)(facts)


def _seen(one: Comparison, facts: Facts, positive: bool, belongs: bool) -> str:
    field, value = FIELDS[one.field], facts.get(one.field)
    name = one.operator if positive else field.operators[one.operator].opposite
    words = comparison_in_words(Comparison(field=one.field, operator=name, value=one.value))
    asked = words if belongs else f"not met: {words}"
    if name in KNOWN or (value is not None and field.type is Type.YES_NO):
        return asked
    return f"{asked} ({'not known' if value is None else NOT_SHOWN if field.personal else _shown(value, field)})"


def _wanted(one: Comparison, field: FactField, operator: Operator) -> str:
    if one.value is None:
        return operator.words
    if not isinstance(one.value, tuple):
        return f"{operator.words} {_number(one.value, field)}"
    word = "and" if operator.name == "including none of" else "or"
    few = operator.words.removesuffix(" one of") if len(one.value) == 1 else operator.words
    return f"{few} {_listed(one.value, word)}"


def _shown(value: Any, field: FactField) -> str:
    if field.type is Type.MONEY:
        return f"{value.decimal()} {value.currency}"
    if field.type is Type.NUMBER:
        return _number(value, field)
    return value if isinstance(value, str) else _listed(value, "and")


def _number(value: float, field: FactField) -> str:
    unit = field.unit.removesuffix("s") if value == 1 and field.unit != "percentage points" else field.unit
    return f"{f'{value:.2f}'.rstrip('0').rstrip('.')} {unit}".strip()


def _listed(names: Sequence[str], word: str) -> str:
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:MOST_NAMED])} {word} {len(names) - MOST_NAMED} more"
    return f" {word} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part) if names else "none"
