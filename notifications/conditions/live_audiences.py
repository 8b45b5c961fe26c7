"""Live audiences: those of all journeys on bits, and those that were published since as functions."""

from collections.abc import Callable

from notifications.conditions.closures import Facts, compile_audience
from notifications.conditions.matcher import Matcher
from notifications.conditions.tree import Condition

MOST_CHANGED = 16
"""Audiences that are decided one by one until all are put on bits again, which takes a while where there are many."""


class LiveAudiences:
    """The audience of each journey, by name; None is everyone. What is set holds for the next cart."""

    def __init__(self) -> None:
        self._trees: dict[str, Condition | None] = {}
        self._matcher = Matcher({})
        self._changed: dict[str, Callable[[Facts], bool] | None] = {}

    def set(self, name: str, audience: Condition | None) -> None:
        """Use this audience from now on."""
        self._trees[name] = audience
        self._changed[name] = None

    def matching(self, facts: Facts) -> frozenset[str]:
        """The names of the journeys whose audience a cart with these facts belongs to."""
        if len(self._changed) > MOST_CHANGED:
            self._matcher, self._changed = Matcher(self._trees), {}
        found = self._matcher.matching(facts)
        if not self._changed:
            return found
        return found.difference(self._changed).union([name for name in self._changed if self._decided(name)(facts)])

    def _decided(self, name: str) -> Callable[[Facts], bool]:
        compiled = self._changed[name]
        if compiled is None:
            tree = self._trees[name]
            compiled = self._changed[name] = compile_audience(tree) if tree is not None else lambda _: True
        return compiled
