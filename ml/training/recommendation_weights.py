"""Recommendation weights: how much each source of recommendations counts, tuned to what came next in sessions.

Tuned on the older sessions, judged on the newest: how often what came next stood among twenty, and how far up. With
them goes what clicks on shown lists teach (`ml.training.product_appeal`), which is judged on clicks.
"""

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zlib import crc32

import numpy as np
from msgspec.structs import replace

from mesh import Mesh
from mesh.lake.reading import read_history
from ml.clickstream.erased import read_erased
from ml.clickstream.impressions import read_impressions
from ml.clickstream.steps import INTERACTIONS, PURCHASING, step_of
from ml.lifecycle.version import Version
from ml.models.artifact import ArtifactRefused, Plain, pack, unpack
from ml.models.blend import NAMES, WEIGHTS, Blend
from ml.models.sessions import Ints, Sessions
from ml.training.product_appeal import ProductAppeal, learn_appeal
from ml.training.result import ServingVersion, TrainingRequest, TrainingResult

NAME = KIND = "recommendations"
MOST_STEPS = 60_000
"""Newest steps of each region that are learnt from: as many as a recommender holds."""
JUDGED, SHOWN, MOST_ASKED = 0.2, 20, 2_000
"""The newest share of sessions that is judged on, how many are shown, and how many questions are asked at most."""
LEAST_SESSIONS, LEAST_ASKED = 200, 50
HIGHEST = 1e3
NO_APPEAL = ProductAppeal(log_appeal={}, explanation="no list was shown")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What shoppers saw, in time order: `sessions` and `items` (clicks,), numbers below `known`; from and to when.

    `appeal` is what they clicked of what they were shown.
    """

    sessions: Ints
    items: Ints
    known: int
    window: tuple[datetime, datetime]
    appeal: ProductAppeal = NO_APPEAL


@dataclass(frozen=True, kw_only=True)
class RankingModel:
    """What serves: the weights of the sources, and by product the logarithm of its appeal, 0 where it is not there."""

    weights: Mapping[str, float]
    log_appeal: Mapping[str, float]


async def training_rows(meshes: Sequence[Mesh]) -> Seen:
    """The newest steps with a product in the regions' logs; a reload counts once, and who was erased does not.

    With them what was clicked of what was shown.
    """
    clicks: list[tuple[float, str, str]] = []
    for mesh in meshes:
        erased = await read_erased(mesh)
        newest: deque[tuple[float, str, str]] = deque(maxlen=MOST_STEPS)
        async for received in read_history(mesh, *INTERACTIONS, *PURCHASING):
            step = step_of(received)
            if erased.covers(received.event.visitor_id, step.at):
                continue
            for product in (step.product,) if step.product else step.products[-1:]:
                newest.append((step.at, step.session, product))
        clicks += newest
    clicks.sort()
    sessions: dict[str, int] = {}
    products: dict[str, int] = {}
    kept, last = [], dict[str, str]()
    for _, session, product in clicks:
        if last.get(session) != product:
            last[session] = product
            kept.append((sessions.setdefault(session, len(sessions)), products.setdefault(product, len(products))))
    columns = np.array(kept, dtype=np.intp).reshape(len(kept), 2)
    times = [datetime.fromtimestamp(clicks[at][0], UTC) for at in (0, -1)] if clicks else [datetime.now(UTC)] * 2
    return Seen(
        sessions=columns[:, 0],
        items=columns[:, 1],
        known=len(products),
        window=(times[0], times[1]),
        appeal=learn_appeal([await read_impressions(mesh) for mesh in meshes]),
    )


@dataclass(frozen=True, kw_only=True)
class TunedWeights:
    """Tuned weights with the questions to judge them: sessions that came before, and (seen, what came next)."""

    appeal: ProductAppeal
    weights: Mapping[str, float]
    older: Sessions
    questions: tuple[tuple[list[int], int], ...]
    version: Version

    def judge(self, running: ServingVersion | None) -> TrainingResult:
        """Accepted when it finds what came next further up than the weights that serve, beyond chance.

        Or when it is no worse at that, and foretells clicks on what is shown, which was judged when it was learnt.
        """
        against = running.version.version if running else None
        called = f"the running {against}" if running else "the weights that come with the release"
        mine, theirs = self._ranks(self.weights), self._ranks(_weights(running))
        gained = mine - theirs
        error = float(gained.std() / len(gained) ** 0.5)
        hits = float((mine > 0).mean()), float((theirs > 0).mean())
        figures = (
            f"HR@{SHOWN} {hits[0]:.3f}, MRR@{SHOWN} {mine.mean():.3f}; {called}: HR@{SHOWN} {hits[1]:.3f}, "
            f"MRR@{SHOWN} {theirs.mean():.3f}, on {len(mine):,} questions"
        )
        better, worse = bool(gained.mean() > 2 * error), bool(gained.mean() < -2 * error)
        accepted = better or bool(self.appeal.log_appeal and not worse)
        reason = ("finds what comes next further up" if better else "no better beyond chance") + f" ({figures})"
        reason += f"; {self.appeal.explanation}"
        measured = {"hit_rate": hits[0], "reciprocal_rank": float(mine.mean()), "hit_rate_before": hits[1]}
        measured["reciprocal_rank_before"] = float(theirs.mean())
        return TrainingResult(
            accepted=accepted,
            reason=reason,
            rows=self.version.rows,
            bought=0,
            against=against,
            version=replace(self.version, accepted=accepted, gate=reason, figures=measured),
            artifact=pack(plain(self.weights, self.appeal.log_appeal)),
        )

    def _ranks(self, weights: Mapping[str, float]) -> np.ndarray:
        """One over the rank of what came next, 0 where it was not among those shown; (questions,)."""
        blend, ranks = Blend(weights=weights).fit(self.older), np.zeros(len(self.questions))
        for at, (seen, target) in enumerate(self.questions):
            found = blend.predict(seen, most=SHOWN)
            if target in found:
                ranks[at] = 1 / (found.index(target) + 1)
        return ranks


@dataclass(frozen=True, kw_only=True)
class TooFew:
    """No weights: the log has too few sessions."""

    reason: str
    rows: int

    def judge(self, running: ServingVersion | None) -> TrainingResult:
        """Never accepted."""
        against = running.version.version if running else None
        return TrainingResult(accepted=False, reason=self.reason, rows=self.rows, bought=0, against=against)


def fit(seen: Seen, order: TrainingRequest) -> TunedWeights | TooFew:
    """Weights tuned to what was seen. Never raises for a log that is too small."""
    sessions = Sessions.of(seen.sessions, seen.items, known=seen.known)
    border = int(len(sessions) * (1 - JUDGED))
    older, newest = sessions.part(0, border), sessions.part(border, len(sessions))
    questions = _questions(newest)
    if len(sessions) < LEAST_SESSIONS or len(questions) < LEAST_ASKED:
        reason = (
            f"nothing learnt: {len(sessions):,} sessions with {len(questions):,} steps to foresee in the newest; "
            f"{LEAST_SESSIONS} and {LEAST_ASKED} are the least"
        )
        return TooFew(reason=reason, rows=len(seen.items))
    evidence = seen.sessions.tobytes() + seen.items.tobytes() + repr(sorted(seen.appeal.log_appeal.items())).encode()
    data = hashlib.sha256(evidence).hexdigest()[:16]
    version = Version(
        name=NAME,
        version=order.called or f"{order.at:%Y%m%d-%H%M%S}-{data[:6]}",
        trained_at=order.at,
        trained_by=order.by,
        window=seen.window,
        horizon_seconds=0.0,
        rows=len(seen.items),
        data_hash=data,
        features=NAMES,
    )
    return TunedWeights(
        weights=Blend().tuned(older).weights,
        appeal=seen.appeal,
        older=older,
        questions=questions,
        version=version,
    )


def plain(weights: Mapping[str, float], log_appeal: Mapping[str, float] | None = None) -> Plain:
    """Weights as an artifact holds them, with the products' appeal."""
    return Plain(
        kind=KIND,
        features=NAMES,
        numbers=dict(log_appeal or {}),
        arrays={"weights": np.array([weights[name] for name in NAMES])},
    )


def model_of(stored: Plain) -> RankingModel:
    """The model that was stored. ArtifactRefused for weights or an appeal that are no sound ones."""
    if not all(abs(value) <= HIGHEST for value in stored.numbers.values()):
        raise ArtifactRefused("the appeal of its products is not one usable number for each")
    return RankingModel(weights=of(stored), log_appeal=stored.numbers)


def of(stored: Plain) -> dict[str, float]:
    """The weights that were stored. ArtifactRefused for any that are no sound ones."""
    weights = stored.array("weights")
    if weights.shape != (len(NAMES),) or not (np.abs(weights) <= HIGHEST).all():
        raise ArtifactRefused("its weights are not one usable number for each source")
    return dict(zip(NAMES, weights.tolist(), strict=True))


def _weights(running: ServingVersion | None) -> Mapping[str, float]:
    """What serves; the release's own where nothing does, or what cannot be read here."""
    if running is None or running.artifact is None:
        return WEIGHTS
    try:
        return of(unpack(running.artifact, kind=KIND, features=NAMES))
    except ArtifactRefused:
        return WEIGHTS


def _questions(newest: Sessions) -> tuple[tuple[list[int], int], ...]:
    """What came next at every step of the sessions; of too many those that chance in their place picks."""
    places = np.setdiff1d(np.arange(len(newest.items)), newest.starts)
    if len(places) > MOST_ASKED:
        drawn = sorted(places.tolist(), key=lambda place: crc32(str(place).encode()))
        places = np.array(sorted(drawn[:MOST_ASKED]))
    starts = newest.starts[newest.owners[places]] if len(places) else places
    return tuple(
        (newest.items[start:place].tolist(), int(newest.items[place]))
        for start, place in zip(starts.tolist(), places.tolist(), strict=True)
    )
