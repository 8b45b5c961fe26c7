"""Audience check: whether a cart is one that a journey is for, with the values seen and what was not met."""

from datetime import datetime

from notifications.check_result import CheckResult, result
from notifications.conditions.closures import compile_audience
from notifications.conditions.fields import facts_of
from notifications.conditions.words import EVERYONE, explained
from notifications.decision_input import DecisionInput
from notifications.journeys import Journey


def audience_result(
    inputs: DecisionInput, journey: Journey, now: datetime, *, belongs: bool | None = None
) -> CheckResult:
    """The check `audience`. `belongs` is what `LiveJourneys.for_cart` found; None: it is found out here."""
    tree = journey.audience
    if tree is None:
        return result("audience", True, EVERYONE)
    facts = facts_of(inputs, now)
    passed = compile_audience(tree)(facts) if belongs is None else belongs
    return result("audience", passed, explained(tree, facts, belongs=passed), "not in the audience")
