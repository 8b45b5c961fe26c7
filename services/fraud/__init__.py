"""Judges orders before they are charged: how many a card or device ordered lately, amounts, addresses, new accounts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from mesh import Mesh, Received, Retry, Service
from mesh.event import Event
from mesh.events.fraud import FraudCheckRequested, FraudCleared, FraudRulesPublished, FraudShadowJudged
from mesh.events.order import OrderConfirmed
from mesh.events.payment import PaymentFlagged
from mesh.fraud_model import FRAUD_MODELS
from mesh.settings import read
from services.fraud.current_models import CurrentModels
from services.fraud.current_rules import FRAUD_RULES, CurrentRules, put_in_force
from services.fraud.features import features_of
from services.fraud.memory import LONGEST, Memory
from services.fraud.rules import FraudSettings, Match, Rules, judge, rules_of, score_of

service = Service(
    "fraud",
    publishes=(FraudCleared, FraudShadowJudged, PaymentFlagged),
    buckets=(FRAUD_RULES,),
    views=(FRAUD_MODELS,),
)

READS_AGAIN_AFTER = timedelta(milliseconds=200)
OWN_HISTORY = timedelta(days=30)


@service.resource
async def follow_rules(mesh: Mesh) -> AsyncIterator[CurrentRules]:
    """The rules that were published last; those of the settings until then."""
    current = CurrentRules(mesh, rules_of(read(FraudSettings)))
    async with _followed(current, mesh):
        yield current


@service.resource
async def follow_models(mesh: Mesh) -> AsyncIterator[CurrentModels]:
    """The models that were trained last."""
    current = CurrentModels(mesh)
    async with _followed(current, mesh):
        yield current


@asynccontextmanager
async def _followed(current: CurrentRules | CurrentModels, mesh: Mesh) -> AsyncIterator[None]:
    """Nobody is judged before it is read, and it is followed until the block ends."""
    mesh.readiness_checks.append(current.unready)
    following = asyncio.create_task(current.follow())
    try:
        yield
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


@service.resource
async def open_memory() -> AsyncIterator[Memory]:
    """What was ordered lately: filled from the log when the service starts."""
    yield Memory()


@service.on(FraudCheckRequested, fanout=True, since=LONGEST)
async def remember_check(received: Received[FraudCheckRequested], memory: Memory) -> None:
    """Every replica remembers every order of the last 24 hours."""
    memory.add(received.event, received.stored)


@service.on(OrderConfirmed, fanout=True, since=OWN_HISTORY)
async def remember_order(confirmed: OrderConfirmed, memory: Memory) -> None:
    """Every replica remembers what customers spent in the last 30 days."""
    memory.spent(confirmed)


@service.on(FraudRulesPublished, reach="mesh", refills=True)
async def put_rules_in_force(received: Received[FraudRulesPublished], mesh: Mesh) -> None:
    """Rules that were published in any region are in force in this one."""
    await put_in_force(received, mesh)


@service.on(FraudCheckRequested, concurrency=64)
async def judge_order(
    received: Received[FraudCheckRequested],
    mesh: Mesh,
    memory: Memory,
    current: CurrentRules,
    models: CurrentModels,
) -> AsyncIterator[Event]:
    """Clear an order, or flag its payment with the reasons. A service that still reads the log judges nobody yet.

    Shadow rules judge the same order; what they find is stored, and decides nothing.
    """
    if reason := next((found for check in mesh.readiness_checks if (found := check())), None):
        raise Retry(reason, after=READS_AGAIN_AFTER)
    asked = received.event
    memory.add(asked, received.stored)
    features = features_of(asked, received.stored, memory)
    model, candidate = models.scores(features)
    matched = judge(asked, received.stored, memory, current.live, model)
    facts: dict[str, Any] = {
        "order_id": asked.order_id,
        "score": score_of(matched),
        "rules": tuple(one.rule for one in matched),
        "answers": received.id,
        "features": features,
        "model": model,
        "candidate": candidate,
    }
    flagged = score_of(matched) >= current.live.written.flag_at
    if flagged:
        yield PaymentFlagged(**facts, reasons=tuple(one.reason for one in matched))
    else:
        yield FraudCleared(**facts)
    if current.shadow:
        matched = judge(asked, received.stored, memory, current.shadow, model)
        yield _shadow(received, matched, current.shadow, current.shadow_revision, live_flagged=flagged)


def _shadow(
    received: Received[FraudCheckRequested], matched: list[Match], rules: Rules, revision: int, *, live_flagged: bool
) -> FraudShadowJudged:
    score = score_of(matched)
    return FraudShadowJudged(
        order_id=received.event.order_id,
        revision=revision,
        score=score,
        flagged=score >= rules.written.flag_at,
        live_flagged=live_flagged,
        answers=received.id,
        rules=tuple(one.rule for one in matched),
    )
