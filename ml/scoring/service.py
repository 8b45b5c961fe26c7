"""Scoring: how likely each shopper buys, from every event as it happens; what they would like next, when asked.

Any replica may be given any visitor's event. Each consumes all of them through a fan-out consumer
(`learn_steps`), so any can score; what happened before it started comes from the log (`ml.scoring.shopper_memory`).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta

import msgspec

from mesh import Mesh, Received, Service
from mesh.broker.jetstream import JetStreamBroker
from mesh.envelope import derive_id
from mesh.events.cart import CartAbandoned, CartScored, CartUpdated
from mesh.events.interaction import CheckoutStarted, ProductSearched, ProductViewed
from mesh.events.model import ModelRefused, ModelShadowed
from mesh.events.order import OrderPlaced
from mesh.events.product import ProductListed
from mesh.events.profile import ProfileErased
from mesh.events.user import Advice, Evidence, Recommendations, RecommendationsRequest, UserScored
from mesh.observability.logs import log
from mesh.observability.tracing import child_trace
from mesh.publish import Cause, Draft
from mesh.settings import read
from ml.clickstream.steps import Step, session_of, step_of
from ml.lifecycle.registry import CURRENT, MODELS
from ml.scoring.scorer import PROPENSITY, UPLIFT, CartAdvice, CartScore, Score, Scorer
from ml.scoring.shopper_memory import SHOPPERS

service = Service(
    "scoring",
    publishes=(UserScored, CartScored, ModelShadowed, ModelRefused),
    buckets=(CURRENT, SHOPPERS),
    object_stores=(MODELS,),
    alone=True,
)
Interaction = ProductViewed | ProductSearched | CheckoutStarted
RECOMMENDED = 4
PATIENCE = timedelta(milliseconds=40)
"""How long a visitor's score waits for their past to be read; their next event is scored with it in any case."""
SCORED_AT_ONCE = 256
"""Events of one batch at most. A batch is what has arrived: few where scoring keeps up, so that no score waits long.

Where it does not, larger ones catch up: only the newest event of a visitor is scored, and all are stored in one turn.
"""
SCORED_IN_ONE_GO = 64
"""Scores that are computed before others may use the event loop."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`scoring_shoppers` visitors are kept in memory, `scoring_warm` messages of each stream read at the start.

    Recommendations are rebuilt every `recommendations_every` when there is news. A process that starts scores
    nothing until it has read the models that serve, for at most `models_within`.
    """

    scoring_shoppers: int = 5_000
    scoring_warm: int = 30_000
    recommendations_every: timedelta = timedelta(seconds=5)
    models_within: timedelta = timedelta(seconds=45)


@service.resource
async def open_scorer(mesh: Mesh) -> AsyncIterator[Scorer]:
    """Everything scoring knows, kept up to date in the background."""
    # numpy is needed by these two, and every process imports this module
    from ml.recommendations.index_process import IndexProcess  # noqa: PLC0415
    from ml.recommendations.recommender import Recommender  # noqa: PLC0415

    settings, process = read(Settings), IndexProcess()
    # Where there is no server, everything is one process: tests.
    recommender = Recommender(build=process) if isinstance(mesh.broker, JetStreamBroker) else Recommender()
    scorer = Scorer(mesh, recommender, shoppers=settings.scoring_shoppers, warm=settings.scoring_warm)
    await scorer.read_erased()
    tasks = [
        asyncio.create_task(scorer.models.follow()),
        asyncio.create_task(scorer.follow_log(period=settings.recommendations_every.total_seconds())),
    ]
    try:
        try:
            await asyncio.wait_for(scorer.models.caught_up.wait(), settings.models_within.total_seconds())
        except TimeoutError:
            log.warning("scoring begins before the models are read", waited_s=settings.models_within.total_seconds())
        yield scorer
    finally:
        for task in tasks:
            task.cancel()
        process.close()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


@service.on(
    ProductViewed,
    ProductSearched,
    CheckoutStarted,
    CartUpdated,
    OrderPlaced,
    ProductListed,
    ProfileErased,
    batch=256,
    fanout=True,
    since=timedelta(seconds=30),
)
async def learn_steps(
    batch: list[Received[Interaction | CartUpdated | OrderPlaced | ProductListed | ProfileErased]], scorer: Scorer
) -> None:
    """Learn what every shopper does and how the shop lists its products; forget who was erased."""
    for received in batch:
        if isinstance(received.event, ProductListed):
            scorer.recommender.learn(received.event)
        elif isinstance(received.event, ProfileErased):
            await scorer.forget(received)
        else:
            scorer.learn(received)


@service.on(ProfileErased, projects=SHOPPERS)
async def forget_erased(erased: Received[ProfileErased], scorer: Scorer) -> None:
    """Forget who was erased while no replica was running, and again when the bucket is rebuilt."""
    await scorer.forget(erased)


@service.on(CartUpdated, OrderPlaced, batch=128, projects=SHOPPERS, one_copy=True)
async def keep_carts(batch: list[Received[CartUpdated | OrderPlaced]], scorer: Scorer) -> None:
    """Keep each visitor's carts and orders where every replica finds them."""
    steps: dict[str, list[Step]] = {}
    for received in batch:
        steps.setdefault(received.event.visitor_id, []).append(step_of(received))
    await scorer.shoppers.keep(steps)


@service.on(ProductViewed, ProductSearched, CheckoutStarted, batch=SCORED_AT_ONCE)
async def score_visitors(batch: list[Received[Interaction]], scorer: Scorer) -> AsyncIterator[Draft]:
    """Say how likely each visitor buys now, once per visitor and batch."""
    newest: dict[str, tuple[Received[Interaction], Step]] = {}
    for received in batch:
        newest[received.event.visitor_id] = (received, scorer.learn(received))
    await scorer.shoppers.look_up(newest, patience=PATIENCE)
    visitors = list(newest.items())
    for at in range(0, len(visitors), SCORED_IN_ONE_GO):
        for draft in _visitors_scored(visitors[at : at + SCORED_IN_ONE_GO], scorer):
            yield draft
        await asyncio.sleep(0)


def _visitors_scored(visitors: list[tuple[str, tuple[Received[Interaction], Step]]], scorer: Scorer) -> Iterator[Draft]:
    proofs = [scorer.shoppers.of(visitor).evidence(step.at, step.session) for visitor, (_, step) in visitors]
    scores = scorer.score([proof.values for proof in proofs])
    for (visitor, (cause, _)), proof, score in zip(visitors, proofs, scores, strict=True):
        scored = UserScored(
            visitor_id=visitor,
            propensity=score.propensity,
            model_version=score.version,
            reasons=score.reasons,
            last_event_id=cause.id,
            evidence=proof,
        )
        yield _draft(scored, cause)


@service.answers
async def recommend_products(request: RecommendationsRequest, scorer: Scorer) -> Recommendations:
    """Say what a visitor may like now. Computed when somebody asks, never for events that nobody looks at."""
    products = await scorer.recommend(request.visitor_id, most=request.most, after=request.after)
    return Recommendations(products=products, model_version=scorer.recommending)


@service.on(CartAbandoned, batch=64, linger=timedelta(milliseconds=5), ack_wait=timedelta(seconds=10))
async def score_carts(left: list[Received[CartAbandoned]], scorer: Scorer, mesh: Mesh) -> None:
    """Say how likely the shopper of an abandoned cart returns unaided, and what else they would like.

    Each score is stored by itself: of a batch that is delivered again, some may be stored already and others not.
    """
    fresh = [abandonment for abandonment in left if not await _is_scored(abandonment, mesh)]
    if not fresh:
        return
    await scorer.shoppers.look_up({abandonment.event.visitor_id for abandonment in fresh})
    carts = [abandonment.event for abandonment in fresh]
    sessions = [session_of(cart.session_id, cart.visitor_id, cart.left_at.timestamp()) for cart in carts]
    await asyncio.gather(*map(scorer.read_cart, carts, sessions))
    proofs = [
        scorer.shoppers.of(cart.visitor_id).evidence(cart.due.timestamp(), session)
        for cart, session in zip(carts, sessions, strict=True)
    ]
    keys, rows = [cart.cart_id for cart in carts], [proof.values for proof in proofs]
    scores, advised = scorer.score_carts(rows, keys), scorer.advise(rows, keys)
    drafts = [
        _cart_scored(abandonment, proof, score.served, advice.served, scorer)
        for abandonment, proof, score, advice in zip(fresh, proofs, scores, advised, strict=True)
    ]
    await asyncio.gather(*(_store(draft, abandonment, mesh) for draft, abandonment in zip(drafts, fresh, strict=True)))
    beside = [
        (draft, abandonment)
        for abandonment, score, advice in zip(fresh, scores, advised, strict=True)
        for draft in _beside(abandonment, score, advice)
    ]
    await asyncio.gather(*(_store(draft, abandonment, mesh) for draft, abandonment in beside))


async def _is_scored(abandonment: Received[CartAbandoned], mesh: Mesh) -> bool:
    """Whether an abandonment that is delivered again was scored the first time, however long ago that was."""
    if abandonment.attempt <= 1:
        return False
    newest = await mesh.last(CartScored, abandonment.event.cart_id)
    return newest is not None and newest.event.abandonment_id == abandonment.id


def _cart_scored(
    abandonment: Received[CartAbandoned], proof: Evidence, score: Score, advice: Advice | None, scorer: Scorer
) -> Draft:
    cart = abandonment.event
    shopper = scorer.shoppers.of(cart.visitor_id)
    inside = [line.product_id for line in cart.lines]
    scored = CartScored(
        cart_id=cart.cart_id,
        visitor_id=cart.visitor_id,
        abandonment_id=abandonment.id,
        propensity=score.propensity,
        model_version=score.version,
        reasons=score.reasons,
        recommended=scorer.recommender.recommend(
            [*reversed(inside), *shopper.recent()],
            exclude=shopper.owned.union(inside),
            most=RECOMMENDED,
            priced=True,
        ),
        evidence=proof,
        advice=advice,
    )
    return _draft(scored, abandonment)


def _beside(abandonment: Received[CartAbandoned], score: CartScore, advice: CartAdvice) -> Iterator[Draft]:
    """What the models that are tried say beside those that serve."""
    if score.champion is not None and score.candidate is not None:
        answers = [(one.version, one.propensity) for one in (score.champion, score.candidate)]
        yield _shadowed(abandonment, PROPENSITY, answers, served_version=score.served.version)
    if advice.champion is not None and advice.candidate is not None and advice.served is not None:
        answers = [(one.version, one.unaided) for one in (advice.champion, advice.candidate)]
        yield _shadowed(abandonment, UPLIFT, answers, served_version=advice.served.version)


def _shadowed(
    abandonment: Received[CartAbandoned], model: str, answers: list[tuple[str, float]], *, served_version: str
) -> Draft:
    cart = abandonment.event
    (champion, probability), (candidate, other) = answers
    shadowed = ModelShadowed(
        cart_id=cart.cart_id,
        abandonment_id=abandonment.id,
        visitor_id=cart.visitor_id,
        model=model,
        champion=champion,
        champion_probability=probability,
        candidate=candidate,
        candidate_probability=other,
        served_version=served_version,
    )
    return _draft(shadowed, abandonment, model)


async def _store(draft: Draft, abandonment: Received[CartAbandoned], mesh: Mesh) -> None:
    await mesh.publish(
        draft, cause=Cause(id=abandonment.id, source=f"{service.name}.score-carts", event=abandonment.id)
    )


def _draft(scored: UserScored | CartScored | ModelShadowed, cause: Received, *parts: str) -> Draft:
    """A score whose id follows from what it scores, so that a redelivery scores nothing twice."""
    trace = child_trace(cause.traceparent) if cause.traceparent else None
    return Draft(event=scored, id=derive_id(cause.id, service.name, type(scored).__name__, *parts), traceparent=trace)
