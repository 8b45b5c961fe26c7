"""Matcher: which of many audiences a cart belongs to, decided on bits instead of tree by tree.

Every group of every tree has a bit. Negations are moved into the comparisons (De Morgan's laws hold for three values
too), so that a comparison can only block a group that wants all, or settle one that wants any. What a field's value
does to all groups is two masks. They are the same for all values between two neighbouring limits that the comparisons
name, so they are computed once for each such class, evaluating each distinct comparison once. A cart is decided by
joining the masks of its values: as many steps as there are fields, however many comparisons there are. Only what is
left after that is followed into nested groups.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import msgspec

from notifications.conditions.amounts import minor_amounts
from notifications.conditions.closures import Facts, Truth, compile_comparison
from notifications.conditions.fields import FIELDS
from notifications.conditions.operators import KNOWN, Type
from notifications.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not

MOST_CLASSES = 4096
"""Classes of values of one field whose masks are kept; when there are more, they are computed anew."""
Masks = tuple[int, int]
"""The groups that want all and are blocked, and those that want any and are settled."""


class _Group(msgspec.Struct, kw_only=True):
    """A group with its bit; it wants `every` one of its comparisons and inner groups, or any."""

    bit: int
    every: bool
    inner: list["_Group"] = []


class Matcher:
    """The audiences of many journeys, by name; None is everyone. `matching` is what they say of a cart."""

    def __init__(self, audiences: Mapping[str, Condition | None]) -> None:
        self._everyone = frozenset(name for name, tree in audiences.items() if tree is None)
        trees = {name: tree for name, tree in audiences.items() if tree is not None}
        self._effects: dict[Comparison, dict[Truth, Masks]] = {}
        self._next_bit = 1
        outermost = {name: self._group(every=True) for name in trees}  # the lowest bits, which are looked at most
        for name, tree in trees.items():
            self._add(tree, outermost[name], True)
        self._names = [(name, group.bit) for name, group in outermost.items()]
        self._nested = [group for group in outermost.values() if group.inner]
        self._outermost = sum(group.bit for group in outermost.values())
        by_field: dict[str, dict[Comparison, dict[Truth, Masks]]] = {}
        for comparison, effects in self._effects.items():
            by_field.setdefault(comparison.field, {})[comparison] = effects
        self._fields = [(name, _masks_of(name, found)) for name, found in by_field.items()]

    @property
    def comparisons(self) -> int:
        """How many distinct comparisons there are."""
        return len(self._effects)

    def matching(self, facts: Facts) -> frozenset[str]:
        """The names of the audiences that a cart with these facts belongs to."""
        blocked = settled = 0
        for name, masks in self._fields:
            blocks, settles = masks(facts.get(name))
            blocked |= blocks
            settled |= settles
        left = self._outermost & ~blocked
        for group in self._nested:
            if left & group.bit and not all(_holds(one, blocked, settled) for one in group.inner):
                left ^= group.bit
        return self._everyone.union([name for name, bit in self._names if left & bit])

    def _group(self, *, every: bool) -> _Group:
        group = _Group(bit=self._next_bit, every=every, inner=[])
        self._next_bit <<= 1
        return group

    def _add(self, tree: Condition, group: _Group, positive: bool) -> None:
        match tree:
            case Not(of=inner):
                self._add(inner, group, not positive)
            case AllOf(of=many) | AnyOf(of=many):
                every = isinstance(tree, AllOf) is positive
                into = group
                if every is not group.every:
                    into = self._group(every=every)
                    group.inner.append(into)
                for one in many:
                    self._add(one, into, positive)
            case Comparison():
                effects = self._effects.setdefault(tree, {True: (0, 0), False: (0, 0), None: (0, 0)})
                for truth, (blocks, settles) in effects.items():
                    if group.every and truth is not positive:
                        effects[truth] = (blocks | group.bit, settles)
                    elif not group.every and truth is positive:
                        effects[truth] = (blocks, settles | group.bit)


def _holds(group: _Group, blocked: int, settled: int) -> bool:
    if group.every:
        return not blocked & group.bit and all(_holds(one, blocked, settled) for one in group.inner)
    return bool(settled & group.bit) or any(_holds(one, blocked, settled) for one in group.inner)


def _masks_of(field: str, effects: Mapping[Comparison, Mapping[Truth, Masks]]) -> Callable[[Any], Masks]:
    """What a value of a field (None: not known) does to all groups; computed once for each class of values."""
    compiled = [(compile_comparison(one), found) for one, found in effects.items()]
    class_of, kept = _class_of(field, effects), dict[Hashable, Masks]()

    def masks(seen: Any) -> Masks:
        key = None if seen is None else class_of(seen)
        found = kept.get(key)
        if found is None:
            blocked = settled = 0
            for compare, of_truth in compiled:
                blocks, settles = of_truth[compare(seen)]
                blocked |= blocks
                settled |= settles
            if len(kept) >= MOST_CLASSES:
                kept.clear()
            found = kept[key] = (blocked, settled)
        return found

    return masks


def _class_of(field: str, comparisons: Iterable[Comparison]) -> Callable[[Any], Hashable]:
    """A function that tells values apart only where some comparison of the field does. Never None."""
    wanted = [one.value for one in comparisons if one.operator not in KNOWN]
    match FIELDS[field].type:
        case Type.YES_NO:
            return bool
        case Type.NUMBER:
            return _between(one for one in wanted if isinstance(one, int | float))
        case Type.MONEY:
            limits: dict[str, set[int]] = {}
            for texts in wanted:
                for currency, minor in minor_amounts(texts if isinstance(texts, tuple) else ()).items():
                    limits.setdefault(currency, set()).add(minor)
            between = {currency: _between(many) for currency, many in limits.items()}
            return lambda seen: (seen.currency, between[seen.currency](seen.amount)) if seen.currency in between else ""
        case _:
            named = frozenset(text for texts in wanted if isinstance(texts, tuple) for text in texts)
            if FIELDS[field].type is Type.TEXT:
                return lambda seen: seen if seen in named else ""
            return named.intersection


def _between(limits: Iterable[float]) -> Callable[[float], Hashable]:
    """The place of a number among limits: before, at or behind each."""
    ordered = sorted(set(limits))
    return lambda seen: (bisect_left(ordered, seen), bisect_right(ordered, seen))
