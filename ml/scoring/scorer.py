"""The scorer: everything that scoring keeps in memory, and how a score comes out of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachetools import TTLCache
from msgspec.structs import replace

from mesh import Event, Mesh, MeshError
from mesh.broker.protocol import Message
from mesh.envelope import Received
from mesh.errors import InvalidEvent, Unavailable
from mesh.event import declaration_of
from mesh.events.cart import CartAbandoned, CartUpdated
from mesh.events.profile import ProfileErased
from mesh.events.user import Advice, Reason, Recommendation
from mesh.mesh import received
from mesh.observability.logs import log
from mesh.subjects import every
from ml.clickstream.steps import INTERACTIONS, PURCHASING, Step, step_of
from ml.features import names
from ml.lifecycle.model_loaders import LOADERS
from ml.lifecycle.serving_models import LoadedModel, ServingModels
from ml.scoring.base_rates import BASE_RATE, BaseRates
from ml.scoring.shopper_memory import Shoppers

if TYPE_CHECKING:
    from ml.recommendations.recommender import Recommender

PROPENSITY, UPLIFT, RECOMMENDATIONS = "propensity", "uplift", "recommendations"


KEPT, KEPT_SECONDS = 10_000, 2.0
"""Recommendations that are kept for who asks again, and for how long."""
MOST_RECOMMENDED = 20
Rows = Sequence[Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Score:
    """A probability in 0..1, the version it comes from and why."""

    propensity: float
    version: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, kw_only=True)
class CartScore:
    """The score that counts; and where a candidate is tried, both models'."""

    served: Score
    champion: Score | None = None
    candidate: Score | None = None


@dataclass(frozen=True, kw_only=True)
class CartAdvice:
    """The advice that counts, None where no adviser serves; and where a candidate is tried, both advisers'."""

    served: Advice | None
    champion: Advice | None = None
    candidate: Advice | None = None


class Scorer:
    """Shoppers, base rates, recommendations and the model that serves. Nothing in it is the only copy."""

    def __init__(self, mesh: Mesh, recommender: "Recommender", *, shoppers: int, warm: int) -> None:
        self._mesh, self._warm = mesh, warm
        self.shoppers = Shoppers(mesh, most=shoppers)
        self.recommender = recommender
        self.rates = BaseRates()
        self.models = ServingModels(mesh, LOADERS)
        self._recommended: TTLCache[tuple, tuple[Recommendation, ...]] = TTLCache(KEPT, KEPT_SECONDS)
        self._weighed: str | None = None
        self._carted = names().index("cart_lines")

    def learn(self, received: Received[Event]) -> Step:
        """Take in an event. The same again changes nothing."""
        happened = received.event
        step = step_of(received)
        if self.shoppers.learn(happened.visitor_id, step):  # type: ignore[attr-defined]  steps have visitors
            self.rates.learn(happened, step.at)
            self.recommender.learn(happened, step)
        return step

    async def forget(self, erased: Received[ProfileErased]) -> None:
        """Forget what visitors did before they were erased: in memory, in the index and in the bucket."""
        self.shoppers.erased.learn(erased.event, erased.stored)
        self._recommended.clear()
        for visitor in erased.event.visitor_ids:
            self.recommender.forget(visitor)
            self.rates.forget({step.session for step in await self.shoppers.forget(visitor)})

    async def read_erased(self) -> None:
        """Read whom this region has erased; nothing may be learnt or kept before that."""
        while True:
            try:
                return await self.shoppers.erased.read(self._mesh)
            except Unavailable as error:
                log.warning("erasures not read yet", error=str(error))
                await asyncio.sleep(1)

    def score(self, rows: Rows) -> list[Score]:
        """Scores of the model that serves for rows of features in the order of `features.names()`."""
        champion = self.models.champion(PROPENSITY)
        if champion is not None:
            return _scores(champion, rows)
        carted = [row[self._carted] > 0 for row in rows]
        return [
            Score(propensity=self.rates.rate(carted=c), version=BASE_RATE, reasons=self.rates.reasons(carted=c))
            for c in carted
        ]

    def score_carts(self, rows: Rows, keys: Sequence[str]) -> list[CartScore]:
        """Scores of abandoned carts, each with what the candidate says where one is tried; `keys` are cart ids."""
        scores, tried = self.score(rows), self.models.tried(PROPENSITY)
        if tried is None:
            return [CartScore(served=score) for score in scores]
        # A shadow is asked for no reasons: nobody will read them.
        others = (
            _scores(tried.loaded, rows) if tried.candidate.stage == "canary" else _probabilities(tried.loaded, rows)
        )
        return [
            CartScore(served=other if tried.serves(key) else score, champion=score, candidate=other)
            for key, score, other in zip(keys, scores, others, strict=True)
        ]

    def advise(self, rows: Rows, keys: Sequence[str]) -> list[CartAdvice]:
        """Whether an offer would change anything for these carts, each with what the candidate says."""
        champion, tried = self.models.champion(UPLIFT), self.models.tried(UPLIFT)
        advice = _advice(champion, rows)
        if tried is None:
            return [CartAdvice(served=one) for one in advice]
        return [
            CartAdvice(served=other if tried.serves(key) else one, champion=one, candidate=other)
            for key, one, other in zip(keys, advice, _advice(tried.loaded, rows), strict=True)
        ]

    async def recommend(self, visitor: str, *, most: int, after: str | None = None) -> tuple[Recommendation, ...]:
        """What a visitor may like now, at most `MOST_RECOMMENDED`; a step `after` that is not known here yet is read.

        What was computed is used again for a short time, while neither visitor, index nor stock changed.
        """
        await self.shoppers.look_up([visitor], knowing={visitor: after} if after else None)
        shopper, recommender = self.shoppers.of(visitor), self.recommender
        newest = shopper.steps[-1].id if shopper.steps else None
        key = (visitor, most, newest, len(shopper.steps), recommender.version)
        found = self._recommended.get(key)
        if found is None:
            seen = shopper.recent()
            exclude = shopper.owned.union(seen[:1])
            found = recommender.recommend(seen, exclude=exclude, most=min(most, MOST_RECOMMENDED))
            self._recommended[key] = found
        return found

    @property
    def recommending(self) -> str | None:
        """The version of the recommendations that serves; None while none does."""
        return self._weighed

    async def read_cart(self, left: CartAbandoned, session: str) -> None:
        """Make sure that an abandoned cart's own updates are known, also when their handler is behind."""
        steps = self.shoppers.of(left.visitor_id).steps
        if any(step.kind == "cart" and step.session == session for step in steps):
            return
        try:
            past = await self._mesh.history(left.cart_id, "cart")
        except MeshError as error:
            log.warning("scored without the cart's updates", cart=left.cart_id, error=str(error))
            return
        for update in past.of(CartUpdated):
            self.learn(update)

    async def follow_log(self, *, period: float) -> None:
        """Learn the newest part of the log, then keep the recommendations fresh. Runs until cancelled.

        They are renewed once a `period` (seconds), and sooner while the log doubles: a new shop's first index may
        know a handful of visits.
        """
        await self._remember()
        renew = 0.0
        while True:
            if time.monotonic() >= renew or self.recommender.outgrown:
                try:
                    self._weigh()
                    await self.recommender.refresh()
                except Exception as error:  # noqa: BLE001  whatever it is, the old index goes on serving
                    log.exception("recommendations not refreshed", error=repr(error))
                renew = time.monotonic() + period
            await asyncio.sleep(min(period, 0.5))

    def _weigh(self) -> None:
        """Let the recommender rank by the weights that serve, once they do."""
        champion = self.models.champion(RECOMMENDATIONS)
        if champion is not None and champion.version != self._weighed:
            self.recommender.weigh(champion.model.weights, champion.model.log_appeal)
            self._weighed = champion.version

    async def _remember(self) -> None:
        try:
            await self.recommender.catalogue.read(self._mesh)
            whole = [await self._replay(kinds) for kinds in (INTERACTIONS, PURCHASING)]
        except MeshError as error:
            log.warning("the log was not read at the start", error=str(error))
            return
        if all(whole):
            self.shoppers.settle()

    async def _replay(self, kinds: tuple[type[Event], ...]) -> bool:
        """Learn the events of these kinds; where they are more than `warm`, those of the stream's last `warm` messages.

        Returns whether that was all of them. Other kinds in the same stream, such as a large catalogue, do not count.
        """
        broker, region = self._mesh.broker, self._mesh.region
        stream = self._mesh.stream_of(kinds[0])
        filters = [every(declaration_of(kind), region=region) for kind in kinds]
        found: list[Message] = []
        async for message in broker.read(stream, filters):
            found.append(message)
            if len(found) > self._warm:
                break
        else:
            await self._learn_all(_each(found))
            return True
        newest: Message | None = await broker.last(stream, f"ev.{region}.>")
        after = max(0, (newest.sequence if newest else 0) - self._warm)
        await self._learn_all(broker.read(stream, filters, after=after))
        return False

    async def _learn_all(self, messages: AsyncIterator[Message]) -> None:
        learnt = 0
        async for message in messages:
            try:
                self.learn(received(message))
            except InvalidEvent:
                continue  # its own handler makes it a dead letter
            learnt += 1
            if learnt % 200 == 0:
                await asyncio.sleep(0)


async def _each(messages: Sequence[Message]) -> AsyncIterator[Message]:
    for message in messages:
        yield message


def _scores(loaded: LoadedModel, rows: Rows) -> list[Score]:
    import numpy as np  # noqa: PLC0415  every process imports this module, only scoring needs numpy

    from ml.models.propensity_serving import reasons  # noqa: PLC0415  saves start-up time

    probabilities, contributions = loaded.model.explain(np.array(rows))
    return [
        Score(propensity=round(probability, 6), version=loaded.version, reasons=why)
        for probability, why in zip(probabilities.tolist(), reasons(rows, contributions), strict=True)
    ]


def _probabilities(loaded: LoadedModel, rows: Rows) -> list[Score]:
    import numpy as np  # noqa: PLC0415  saves start-up time

    probabilities = loaded.model.score(np.array(rows)).tolist()
    return [Score(propensity=round(one, 6), version=loaded.version, reasons=()) for one in probabilities]


def _advice(loaded: LoadedModel | None, rows: Rows) -> list[Advice | None]:
    if loaded is None:
        return [None] * len(rows)
    import numpy as np  # noqa: PLC0415  saves start-up time

    return [replace(advice, version=loaded.version) for advice in loaded.model.advise(np.array(rows))]
