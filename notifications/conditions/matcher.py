"""Matcher: which of many audiences a cart belongs to, decided on bits instead of tree by tree.

Every group of every tree has a bit. Negations are moved into the comparisons (De Morgan's laws hold for three values
too), so that a comparison can only block a group that wants all, or settle one that wants any. What the value of a
field does to all groups is two masks, whatever the number of comparisons; a cart is decided by joining the masks of its
values. Only what is left after that is followed into nested groups.

Of amounts and numbers there are masks for each place among the limits that comparisons name (`_masks_of_numbers`), of
texts one for each text, from which those of a value are put together (`_masks_of_texts`).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import accumulate
from typing import Any

import msgspec

from notifications.conditions.amounts import minor_amounts
from notifications.conditions.closures import Facts, Truth, compile_comparison
from notifications.conditions.fields import FIELDS
from notifications.conditions.operators import KNOWN, Type
from notifications.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not

Masks = tuple[int, int]
"""The groups that want all and are blocked, and those that want any and are settled."""

NOTHING: Masks = (0, 0)
Effects = Mapping[Comparison, Mapping[Truth, Masks]]
"""What each distinct comparison of a field does to the groups that it stands in."""
MET_BY_SHARING = ("one of", "including one of")
"""The operators that are true where the value shares a text with the comparison; the others of texts are false then."""


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
        self._names = list(trees)
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
        found = []
        while left:
            place = left.bit_length() - 1
            found.append(self._names[place])
            left ^= 1 << place
        return self._everyone.union(found)

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


def _masks_of(field: str, effects: Effects) -> Callable[[Any], Masks]:
    """What a value of a field (None: not known) does to all groups."""
    unknown, always, asked = NOTHING, NOTHING, dict[Comparison, Mapping[Truth, Masks]]()
    for comparison, of_truth in effects.items():
        unknown = _both(unknown, of_truth[compile_comparison(comparison)(None)])
        if comparison.operator in KNOWN:
            always = _both(always, of_truth[compile_comparison(comparison)(True)])
        else:
            asked[comparison] = of_truth
    match FIELDS[field].type:
        case Type.MONEY:
            masks = _masks_of_money(asked, always)
        case Type.NUMBER:
            masks = _masks_of_numbers([(one, float(one.value), found) for one, found in asked.items()], always)  # type: ignore[arg-type]  # checked
        case Type.YES_NO:
            masks = _masks_of_answers(asked, always)
        case kind:
            masks = _masks_of_texts(asked, always, is_one=kind is Type.TEXT)
    return lambda seen: unknown if seen is None else masks(seen)


def _masks_of_answers(effects: Effects, always: Masks) -> Callable[[Any], Masks]:
    """Those of yes and of no."""
    yes = no = always
    for comparison, of_truth in effects.items():
        yes = _both(yes, of_truth[comparison.operator == "yes"])
        no = _both(no, of_truth[comparison.operator == "no"])
    return lambda seen: yes if seen else no


def _masks_of_money(effects: Effects, always: Masks) -> Callable[[Any], Masks]:
    """Those of amounts: for each currency, those of a number; a comparison that does not name it is unknown."""
    limits = {one: minor_amounts(one.value if isinstance(one.value, tuple) else ()) for one in effects}
    unknown = reduce(_both, (of_truth[None] for of_truth in effects.values()), always)
    of_currency = {}
    for currency in {currency for named in limits.values() for currency in named}:
        without = (effects[one][None] for one, named in limits.items() if currency not in named)
        within = [(one, named[currency], effects[one]) for one, named in limits.items() if currency in named]
        of_currency[currency] = _masks_of_numbers(within, reduce(_both, without, always))

    def masks(seen: Any) -> Masks:
        found = of_currency.get(seen.currency)
        return found(seen.amount) if found else unknown

    return masks


def _masks_of_numbers(
    limited: Sequence[tuple[Comparison, float, Mapping[Truth, Masks]]], always: Masks
) -> Callable[[Any], Masks]:
    """Those of numbers: of each place before, at and behind the limits, which are 2 n + 1 for n limits.

    A comparison changes its truth at one place, so that what it does at a place is what it does from its own place
    upwards or below it: two running unions give the masks of all places.
    """
    limits = sorted({limit for _, limit, _ in limited})
    places = 2 * len(limits) + 1
    upwards, below = [NOTHING] * places, [NOTHING] * places
    for comparison, limit, of_truth in limited:
        at = 2 * bisect_left(limits, limit) + 1
        turn = at if comparison.operator in ("at least", "less than") else at + 1
        rises = comparison.operator in ("at least", "more than")
        upwards[turn] = _both(upwards[turn], of_truth[rises])
        below[turn - 1] = _both(below[turn - 1], of_truth[not rises])
    rising = list(accumulate(upwards, _both))
    falling = list(accumulate(reversed(below), _both))[::-1]
    found = [_both(always, _both(one, other)) for one, other in zip(rising, falling, strict=True)]
    return lambda seen: found[bisect_left(limits, seen) + bisect_right(limits, seen)]


class _Layer:
    """Comparisons of texts of which no two are in one group, so that a mask of groups says which of them share a text.

    `members`: for each text the groups whose comparison names it. Of a comparison that shares a text with the value,
    and of one that does not, the groups that it blocks and those that it settles.
    """

    def __init__(self) -> None:
        self.groups = 0
        self.members: dict[str, int] = {}
        self.sharing: Masks = (0, 0)
        self.apart: Masks = (0, 0)

    def add(self, comparison: Comparison, of_truth: Mapping[Truth, Masks], groups: int) -> None:
        self.groups |= groups
        for text in comparison.value if isinstance(comparison.value, tuple) else ():
            self.members[text] = self.members.get(text, 0) | groups
        met = comparison.operator in MET_BY_SHARING
        self.sharing = _both(self.sharing, of_truth[met])
        self.apart = _both(self.apart, of_truth[not met])


def _masks_of_texts(effects: Effects, always: Masks, *, is_one: bool) -> Callable[[Any], Masks]:
    """Those of one or several texts, put together from what each text does in each layer of comparisons."""
    layers: list[_Layer] = []
    for comparison, of_truth in effects.items():
        groups = 0
        for blocks, settles in of_truth.values():
            groups |= blocks | settles
        layer = next((one for one in layers if not one.groups & groups), None)
        if layer is None:
            layers.append(layer := _Layer())
        layer.add(comparison, of_truth, groups)

    def masks(seen: Any) -> Masks:
        blocked, settled = always
        for layer in layers:
            shared = 0
            for text in (seen,) if is_one else seen:
                shared |= layer.members.get(text, 0)
            blocked |= layer.sharing[0] & shared | layer.apart[0] & ~shared
            settled |= layer.sharing[1] & shared | layer.apart[1] & ~shared
        return blocked, settled

    return masks


def _both(one: Masks, other: Masks) -> Masks:
    return one[0] | other[0], one[1] | other[1]
