"""Backtest: what rules would have flagged of the orders of the last days, beside what became of these orders."""

import asyncio
from datetime import datetime, timedelta

import msgspec

from mesh import Mesh
from mesh.events.fraud import FraudCheckRequested, FraudLabelled
from mesh.events.order import OrderConfirmed
from mesh.fraud_model import FRAUD_MODELS
from services.fraud.features import features_of
from services.fraud.memory import LONGEST, Memory
from services.fraud.model import Trees
from services.fraud.rules import Match, Rules, judge, score_of

SHOWN = 20
AT_ONCE = 200
"""After so many orders others get their turn."""


class Flagged(msgspec.Struct, frozen=True, kw_only=True):
    """An order that the rules would have flagged: when, how much it weighed, why, and what it turned out to be."""

    order_id: str
    at: datetime
    score: int
    reasons: tuple[str, ...]
    label: str | None


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What rules would have done.

    Of `frauds` known ones `caught` were flagged, and of `legitimate` known ones `false_alarms`; the rest of `flagged`
    is not known.
    """

    flagged: int
    caught: int
    frauds: int
    false_alarms: int
    legitimate: int


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """Two sets of rules on the same orders of the last `days`: those that are `tried` and those in force, `live`.

    `learnt_from` orders are those that the model may have learnt from: of these it knows more than of others.
    """

    days: int
    orders: int
    tried: Counts
    live: Counts
    examples: tuple[Flagged, ...]
    learnt_from: int = 0


async def backtest(mesh: Mesh, tried: Rules, live: Rules, *, days: int, now: datetime) -> Backtest:
    """Judge each order of the last days once, by what had happened before it, and by the model that serves now.

    Counting begins 24 hours earlier and a customer's own history 30 days earlier, as where orders are judged. Labels
    are those that are known now.
    """
    since = now - timedelta(days=days)
    memory, found, seen = Memory(), list[tuple[FraudCheckRequested, datetime, list[Match], list[Match]]](), set[str]()
    labels = {one.event.order_id: one.event.label async for one in mesh.read(FraudLabelled)}
    document = await mesh.state(FRAUD_MODELS).get("serving")
    model = Trees(document) if document else None
    async for received in mesh.read(FraudCheckRequested, OrderConfirmed):
        happened, at = received.event, received.stored
        if isinstance(happened, OrderConfirmed):
            if at >= since - timedelta(days=30):
                memory.spent(happened)
            continue
        if at < since - LONGEST:
            continue
        memory.add(happened, at)
        if at >= since and happened.order_id not in seen:
            seen.add(happened.order_id)
            score = model.score(features_of(happened, at, memory)) if model else None
            matches = (judge(happened, at, memory, rules, score) for rules in (tried, live))
            found.append((happened, at, *matches))
            if not len(found) % AT_ONCE:
                await asyncio.sleep(0)
    by_tried = {asked.order_id: score_of(matched) for asked, _, matched, _ in found}
    by_live = {asked.order_id: score_of(matched) for asked, _, _, matched in found}
    flagged = [one for one in found if by_tried[one[0].order_id] >= tried.written.flag_at]
    return Backtest(
        days=days,
        orders=len(found),
        tried=_counts(by_tried, tried.written.flag_at, labels),
        live=_counts(by_live, live.written.flag_at, labels),
        examples=tuple(
            Flagged(
                order_id=asked.order_id,
                at=at,
                score=by_tried[asked.order_id],
                reasons=tuple(one.reason for one in matched),
                label=labels.get(asked.order_id),
            )
            for asked, at, matched, _ in flagged[-SHOWN:][::-1]
        ),
        learnt_from=sum(at <= document.learnt_until for _, at, *_ in found) if document else 0,
    )


def _counts(scores: dict[str, int], flag_at: int, labels: dict[str, str]) -> Counts:
    flagged = {order for order, score in scores.items() if score >= flag_at}
    frauds = {order for order in scores if labels.get(order) == "fraud"}
    legitimate = {order for order in scores if labels.get(order) == "legitimate"}
    return Counts(
        flagged=len(flagged),
        caught=len(flagged & frauds),
        frauds=len(frauds),
        false_alarms=len(flagged & legitimate),
        legitimate=len(legitimate),
    )
