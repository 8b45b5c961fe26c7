"""The audit: features that were served, computed again off line from the log, and proven equal.

A score's evidence holds what it was computed from. Where the log gives something else now, the audit looks for what
the scorer cannot have known: steps that were stored after the score or were still on their way, and steps that
were beyond its memory. A difference without such a cause is a fault.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations, islice
from typing import Any

import msgspec

from mesh import Mesh
from mesh.envelope import Received
from mesh.events.cart import CartAbandoned, CartScored
from mesh.events.user import Evidence, UserScored
from ml.clickstream.erased import read_erased
from ml.clickstream.steps import INTERACTIONS, PURCHASING, Step, once, session_of, step_of

TOLERANCE = 1e-9
"""Largest difference that counts as equal, relative to values above 1."""
ON_THE_WAY = timedelta(seconds=10)
"""How long before a score a step may have been stored that the scorer had not received yet."""
MOST_MISSED = {"interaction": 8, "commerce": 4}
MOST_UNFOLDED = 40
"""Steps that a visitor's events may have beyond one each, when looking for how many of them were remembered."""
MOST_SCATTERED = 800
"""Sets of missed steps that are tried where the newest ones do not explain a score: all of up to four of twelve."""
LISTED = 20


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A score whose evidence the log does not give: features as (name, served, computed again), and the cause."""

    kind: str
    key: str
    id: str
    features: tuple[tuple[str, float, float], ...]
    cause: str | None


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit of `checked` scores found; `outdated` were made from other features than are served now."""

    region: str
    checked: int
    equal: int
    explained: int
    unexplained: int
    outdated: int
    differences: tuple[Difference, ...]

    def lines(self) -> list[str]:
        """For a terminal."""
        lines = [f"{self.region}: {self.checked:,} scores computed again from the log"]
        lines[0] += f": {self.equal:,} equal to {TOLERANCE:g}"
        lines[0] += f", {self.explained:,} differ with a cause, {self.unexplained:,} without"
        if self.outdated:
            lines.append(f"  {self.outdated:,} more were made from other features than are served now")
        for one in self.differences[:LISTED]:
            name, served, computed = one.features[0]
            more = f" and {len(one.features) - 1} more" if len(one.features) > 1 else ""
            lines.append(
                f"  {one.kind} {one.key}: {name} {served:g}, now {computed:g}{more}: {one.cause or 'no cause'}"
            )
        if len(self.differences) > LISTED:
            lines.append(f"  and {len(self.differences) - LISTED:,} more")
        return lines


@dataclass(frozen=True, kw_only=True)
class _Score:
    received: Received
    evidence: Evidence
    visitor: str
    session: str


@dataclass(frozen=True, kw_only=True)
class _Guess:
    """A set of steps that the scorer may have known, and why not the others."""

    steps: list[Received]
    cause: str


async def audit(mesh: Mesh, *, sample: int = 200) -> AuditReport:
    """Audit the newest `sample` scores of carts and as many of visits in a region.

    What visitors did before they were erased was forgotten, so it is neither asked for nor looked at.
    """
    from ml.features import digest  # noqa: PLC0415  saves start-up time

    erased = await read_erased(mesh)
    scores: dict[type, deque[Received]] = {kind: deque(maxlen=sample) for kind in (CartScored, UserScored)}
    async for received in mesh.read(CartScored, UserScored):
        forgotten = erased.covers(received.event.visitor_id, received.time.timestamp())
        if received.event.evidence is not None and not forgotten:
            scores[type(received.event)].append(received)
    scored = [received for kind in scores.values() for received in kind]
    current = [received for received in scored if received.event.evidence.features_digest == digest()]
    wanted = {received.event.visitor_id for received in current}
    steps: dict[str, list[Received]] = defaultdict(list)
    sessions: dict[str, str] = {}
    async for received in mesh.read(*INTERACTIONS, *PURCHASING, CartAbandoned):
        happened = received.event
        if happened.visitor_id not in wanted or erased.covers(happened.visitor_id, received.time.timestamp()):
            continue
        if isinstance(happened, CartAbandoned):
            left = happened.left_at.timestamp()
            sessions[received.id] = session_of(happened.session_id, happened.visitor_id, left)
        else:
            steps[happened.visitor_id].append(received)
            sessions[received.id] = step_of(received).session
    known = [score for received in current if (score := _score(received, sessions)) is not None]
    differences = _differences(known, steps)
    explained = sum(difference.cause is not None for difference in differences)
    return AuditReport(
        region=mesh.region,
        checked=len(known),
        equal=len(known) - len(differences),
        explained=explained,
        unexplained=len(differences) - explained,
        outdated=len(scored) - len(current),
        differences=tuple(sorted(differences, key=lambda one: one.cause is not None)),
    )


def _score(received: Received, sessions: dict[str, str]) -> _Score | None:
    """None where what was scored is no longer in the log."""
    score = received.event
    session = sessions.get(score.abandonment_id if isinstance(score, CartScored) else score.last_event_id)
    if session is None:
        return None
    return _Score(received=received, evidence=score.evidence, visitor=score.visitor_id, session=session)


def _differences(scores: Sequence[_Score], steps: dict[str, list[Received]]) -> list[Difference]:
    asked = [(score, {str(at): steps[score.visitor]}) for at, score in enumerate(scores)]
    computed = _computed(asked)
    suspicious = [at for at, score in enumerate(scores) if _unequal(score.evidence, computed.get(str(at)))]
    causes: dict[int, str] = {}
    for guessed in (_guesses, _scattered):
        open_ones = [at for at in suspicious if at not in causes]
        guesses = {at: guessed(scores[at], steps[scores[at].visitor]) for at in open_ones}
        again = _computed(
            [(scores[at], {f"{at}.{n}": guess.steps for n, guess in enumerate(guesses[at])}) for at in open_ones]
        )
        for at in open_ones:
            for n, guess in enumerate(guesses[at]):
                if not _unequal(scores[at].evidence, again.get(f"{at}.{n}")):
                    causes.setdefault(at, guess.cause)
    found = []
    for at in suspicious:
        score, now = scores[at], computed.get(str(at))
        found.append(
            Difference(
                kind="cart" if isinstance(score.received.event, CartScored) else "visit",
                key=score.received.event.cart_id
                if isinstance(score.received.event, CartScored)
                else score.received.event.visitor_id,
                id=score.received.id,
                features=_unequal(score.evidence, now),
                cause=causes.get(at),
            )
        )
    return found


def _guesses(score: _Score, known: list[Received]) -> list[_Guess]:
    """What the scorer may have known of a visitor, the likeliest first."""
    past = sorted(
        (one for one in known if one.time <= score.evidence.at), key=lambda one: (one.stored, one.time, one.id)
    )
    before = [one for one in past if one.stored <= score.received.stored]
    guesses = []
    if len(before) < len(past):
        late = len(past) - len(before)
        guesses.append(_Guess(steps=before, cause=f"{late} of its steps were stored after the score"))
    interactions, commerce = _fresh(score, before)
    for n in range(len(commerce) + 1):
        for m in range(len(interactions) + 1):
            if n + m:
                missed = {one.id for one in (*commerce[:n], *interactions[:m])}
                cause = f"{n + m} of its steps were still on their way to the scorer"
                guesses.append(_Guess(steps=[one for one in before if one.id not in missed], cause=cause))
    most = min(len(before), score.evidence.steps + 1)
    for kept in range(max(1, most - MOST_UNFOLDED), most):
        cause = f"only the newest {kept} of {len(before)} events were in the scorer's memory"
        guesses.append(_Guess(steps=sorted(before, key=lambda one: (one.time, one.id))[-kept:], cause=cause))
    return guesses


def _scattered(score: _Score, known: list[Received]) -> list[_Guess]:
    """More sets of steps: any of the fresh ones may have been missed.

    Of several replicas one is given a step that another receives a moment later, so what a replica lacks need
    not be the newest.
    """
    before = [one for one in known if one.time <= score.evidence.at and one.stored <= score.received.stored]
    before.sort(key=lambda one: (one.stored, one.time, one.id))
    fresh = [one for some in _fresh(score, before) for one in some]
    missing = (some for size in range(1, len(fresh)) for some in combinations(fresh, size))
    guesses = []
    for some in islice(missing, MOST_SCATTERED):
        missed = {one.id for one in some}
        cause = f"{len(missed)} of its steps were still on their way to the scorer"
        guesses.append(_Guess(steps=[one for one in before if one.id not in missed], cause=cause))
    return guesses


def _fresh(score: _Score, before: list[Received]) -> tuple[list[Received], list[Received]]:
    """Interactions and commerce events that may have been on their way when the score was made, newest first."""
    fresh = [one for one in before if one.stored >= score.received.stored - ON_THE_WAY][::-1]
    interactions = [one for one in fresh if isinstance(one.event, INTERACTIONS)]
    commerce = [one for one in fresh if isinstance(one.event, PURCHASING)]
    return interactions[: MOST_MISSED["interaction"]], commerce[: MOST_MISSED["commerce"]]


def _computed(asked: Iterable[tuple[_Score, dict[str, list[Received]]]]) -> dict[str, tuple[int, tuple[float, ...]]]:
    """Per name of a set of steps: how many steps were known at the score's moment, and all features then."""
    import polars as pl  # noqa: PLC0415  whoever audits has it

    from ml.features import names  # noqa: PLC0415  saves start-up time
    from ml.training.dataset import at_moment, frame  # noqa: PLC0415  saves start-up time

    shoppers: dict[str, list[Step]] = {}
    questions: list[tuple[str, str, float]] = []
    for score, sets in asked:
        for name, events in sets.items():
            shoppers[name] = once(step_of(one) for one in events)
            questions.append((name, score.session, score.evidence.at.timestamp()))
    if not questions:
        return {}
    table = pl.DataFrame(questions, schema={"visitor": pl.String, "session": pl.String, "at": pl.Float64}, orient="row")
    rows = at_moment(frame(shoppers), table)
    wanted = ("visitor", "steps", *names())
    return {row[0]: (row[1] or 0, row[2:]) for row in rows.select(wanted).iter_rows()}


def _unequal(evidence: Evidence, computed: tuple[int, tuple[Any, ...]] | None) -> tuple[tuple[str, float, float], ...]:
    """The features that differ; empty where all are equal."""
    from ml.features import names  # noqa: PLC0415  saves start-up time

    again = computed[1] if computed else (float("nan"),) * len(evidence.values)
    return tuple(
        (name, served, float("nan") if value is None else value)
        for name, served, value in zip(names(), evidence.values, again, strict=True)
        if not _equal(served, float("nan") if value is None else value)
    )


def _equal(served: float, computed: float) -> bool:
    if served != served or computed != computed:  # noqa: PLR0124  NaN
        return served != served and computed != computed  # noqa: PLR0124
    return abs(served - computed) <= TOLERANCE * max(1.0, abs(served))
