"""What decisions say in plain words: every reason and check of the evaluation, and odd ones as written."""

import ast
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mesh import Received
from mesh.events.offer import Check
from notifications import channel_checks, contact_checks, evaluation, progress, step_checks, step_decision
from notifications.promises import budget, promise
from notifications.studio.decision_pages import words
from notifications.studio.decision_pages.entry import entry_of
from notifications.studio.decision_pages.explained_decision import explained_checks, reason_of
from notifications.studio.decision_pages.recent_decisions import Filter, RecentDecisions, values
from tests.approved_offer import approved_offer

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
EMAIL_CLOSED = Check(name="consent", passed=False, value="email: refused", channel="email")
CARD_OPEN = Check(name="consent", passed=True, value="onsite: never asked, assumed", channel="onsite")
QUIET = Check(name="quiet hours", passed=False, value="22:41 in Europe/Berlin, quiet 21:00-08:00")


def literals(module):
    """The constant names of checks, and the constant reasons, that a module writes into results."""
    names, reasons = set(), set()
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        arguments = [one.value if isinstance(one, ast.Constant) else None for one in node.args]
        named = {one.arg: one.value.value for one in node.keywords if isinstance(one.value, ast.Constant)}
        if called in ("result", "_arm_result"):
            names.add(arguments[0])
            reasons.add(arguments[3] if len(arguments) > 3 else None)
        elif called == "_against":
            names.add(arguments[0])
        elif called == "Check":
            names.add(named.get("name"))
        elif called == "Evaluation":
            reasons.add(named.get("reason"))
    return names - {None}, reasons - {None, ""}


def stored(event, number=1, at=NOON):
    """An event as it is delivered."""
    return Received(event=event, id=f"e{number:04}", time=at, stored=at, region="us", sequence=number, subject="s")


@pytest.mark.parametrize(
    "module", [channel_checks, contact_checks, evaluation, step_checks, step_decision, budget, promise]
)
def test_every_check_and_reason_of_the_evaluation_has_words(module):
    """Whoever adds one there learns here that marketers would read its bare name."""
    names, reasons = literals(module)

    assert names
    assert names - words.CHECKS.keys() == set()
    assert reasons - words.REASONS.keys() == set()


def test_every_reason_about_a_run_has_words():
    """Those that end one, and those of steps that wait or are gone."""
    assert {*progress.ENDING, progress.WAITING, progress.REMOVED} - words.REASONS.keys() == set()


def test_what_is_not_known_is_shown_as_it_was_written():
    """A reason, a check and a channel of a version to come."""
    assert (words.reason("full moon"), words.check("tides"), words.channel("pigeon")) == (
        "Full moon",
        "Tides",
        "pigeon",
    )


@pytest.mark.parametrize(
    ("outcome", "checks", "effects"),
    [
        ("approved", (EMAIL_CLOSED, CARD_OPEN), ["closes e-mail only", ""]),
        ("dropped", (EMAIL_CLOSED,), ["stopped it"]),
        ("held", (CARD_OPEN, QUIET), ["", "held it back"]),
    ],
)
def test_a_failed_check_says_what_it_did(outcome, checks, effects):
    """It closed one channel while another was open, stopped the offer, or held it back."""
    decided = approved_offer(outcome=outcome, checks=checks)

    assert [one.effect for one in explained_checks(decided)] == effects


def test_a_held_decision_says_until_when():
    """In a list and in the timeline."""
    until = datetime(2026, 5, 5, 6, 0, tzinfo=UTC)
    decided = approved_offer(outcome="held", reason="quiet hours", held_until=until)

    assert reason_of("held", "quiet hours", until) == (
        "Quiet hours where the shopper lives; held until 2026-05-05 06:00 UTC"
    )
    assert entry_of(stored(decided)).sentence.endswith("held until 2026-05-05 06:00 UTC, then decided again.")


def test_the_list_has_the_last_decision_of_each_offer_newest_first():
    """Whatever comes when and however often; only as many as are kept."""
    recent, log = RecentDecisions(most=3), []
    for number in range(1, 7):
        at = NOON.replace(minute=number)
        log.append(stored(approved_offer(number, outcome="held", reason="quiet hours"), number, at))
    log.append(stored(approved_offer(6, attempt=2), 7, NOON.replace(minute=30)))

    for received in (*reversed(log), *log):
        recent.add(received)

    found = recent.newest()
    assert [(one.cart_id, one.outcome) for one in found] == [("c6", "approved"), ("c5", "held"), ("c4", "held")]
    assert [one.cart_id for one in recent.newest() if Filter(outcome="held").matches(one)] == ["c5", "c4"]
    assert values(found, "reason") == ["quiet hours"]
