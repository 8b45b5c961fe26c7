"""Words: an audience as a sentence, and what a cart's facts say to it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from notifications.conditions.closures import Facts, Truth, compile_comparison
from notifications.conditions.fields import FIELDS, FactField
from notifications.conditions.operators import KNOWN, Operator, Type
from notifications.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not

EVERYONE = "everyone"
MOST_SHOWN = 8
"""Conditions that a check shows."""
MOST_NAMED = 6
"""Values that a check names of one condition, and of what was seen; a sentence names all."""
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


def comparison_in_words(one: Comparison, most: int | None = None) -> str:
    """One comparison, such as `cart value is at least 50 EUR or 55 USD`; no more than so many values are named."""
    field = FIELDS[one.field]
    operator = field.operators[one.operator]
    if field.type is Type.YES_NO and one.operator not in KNOWN:
        return field.says[one.operator == "no"]
    return f"{subject_of(field)} {_wanted(one, field, operator, most)}"


def subject_of(field: FactField) -> str:
    """A field's label within a sentence."""
    return field.label[0].lower() + field.label[1:]


def explained(tree: Condition, facts: Facts, *, belongs: bool) -> str:
    """What decided: the conditions that were met, with the values seen, or those that were not, and why.

    A personal value is not shown: decisions are read in other regions, and outlive the erasure of a person.
    """
    truths: dict[int, Truth] = {}
    _judge(tree, facts, truths)
    found = list(dict.fromkeys(_deciding(tree, truths, True, belongs)))
    shown = "; ".join(_seen(one, facts, positive, belongs) for one, positive in found[:MOST_SHOWN])
    return f"{shown}; and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else shown


def _judge(tree: Condition, facts: Facts, truths: dict[int, Truth]) -> Truth:
    """The truth of a tree, noted for each part of it by the part's identity."""
    match tree:
        case Comparison(field=field):
            found = compile_comparison(tree)(facts.get(field))
        case Not(of=inner):
            opposite = _judge(inner, facts, truths)
            found = None if opposite is None else not opposite
        case AllOf(of=many) | AnyOf(of=many):
            parts = [_judge(one, facts, truths) for one in many]
            decisive = isinstance(tree, AnyOf)
            found = decisive if decisive in parts else None if None in parts else not decisive
    truths[id(tree)] = found
    return found


def _deciding(
    tree: Condition, truths: Mapping[int, Truth], positive: bool, belongs: bool
) -> Iterator[tuple[Comparison, bool]]:
    """The comparisons that decided, and whether each was wanted to be true or false."""
    match tree:
        case Not(of=inner):
            yield from _deciding(inner, truths, not positive, belongs)
        case Comparison():
            yield tree, positive
        case AllOf(of=many) | AnyOf(of=many):
            holding = [one for one in many if (truths[id(one)] is positive) is belongs]
            every = isinstance(tree, AllOf) is positive
            for one in holding[:1] if belongs and not every else holding:
                yield from _deciding(one, truths, positive, belongs)


def _seen(one: Comparison, facts: Facts, positive: bool, belongs: bool) -> str:
    field, value = FIELDS[one.field], facts.get(one.field)
    name = one.operator if positive else field.operators[one.operator].opposite
    words = comparison_in_words(Comparison(field=one.field, operator=name, value=one.value), MOST_NAMED)
    asked = words if belongs else f"not met: {words}"
    if name in KNOWN or (value is not None and field.type is Type.YES_NO):
        return asked
    return f"{asked} ({'not known' if value is None else NOT_SHOWN if field.personal else _shown(value, field)})"


def _wanted(one: Comparison, field: FactField, operator: Operator, most: int | None) -> str:
    if one.value is None:
        return operator.words
    if not isinstance(one.value, tuple):
        return f"{operator.words} {_number(one.value, field)}"
    word = "and" if operator.name == "including none of" else "or"
    few = operator.words.removesuffix(" one of") if len(one.value) == 1 else operator.words
    return f"{few} {_listed(one.value, word, most)}"


def _shown(value: Any, field: FactField) -> str:
    if field.type is Type.MONEY:
        return f"{value.decimal()} {value.currency}"
    if field.type is Type.NUMBER:
        return _number(value, field)
    return value if isinstance(value, str) else _listed(value, "and", MOST_NAMED)


def _number(value: float, field: FactField) -> str:
    unit = field.unit.removesuffix("s") if value == 1 and field.unit != "percentage points" else field.unit
    return f"{f'{value:.2f}'.rstrip('0').rstrip('.')} {unit}".strip()


def _listed(names: Sequence[str], word: str, most: int | None) -> str:
    if most and len(names) > most:
        return f"{', '.join(names[:most])} {word} {len(names) - most} more"
    return f" {word} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part) if names else "none"
