"""Codes: finds the home of a code, has it decide, and says what is answered.

What this region is the home of is decided here at once. The home in another region is asked by an event, and its answer
is waited for; while it cannot be reached nobody knows whether a code is still free, and nothing is given out.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from mesh import Cancel, Mesh, Received, Timer, Unchanged
from mesh.envelope import derive_id
from mesh.errors import Conflict, MeshError, Unavailable
from mesh.events.code import (
    CodeAction,
    CodeAnswered,
    CodeChanged,
    CodeOutcome,
    CodeRequested,
    CodeReservationExpired,
    Discount,
)
from mesh.money import Money
from mesh.observability.logs import log
from mesh.publish import Cause, Change
from services.promotions.code_key import code_id
from services.promotions.code_state import CodeRequest, Verdict, decide
from services.promotions.promotion_settings import PromotionSettings

TRIES = 50
"""How often a decision is made again because somebody else's was stored first."""
FIRST_LOOK, LONGEST_LOOK = timedelta(milliseconds=5), timedelta(milliseconds=40)
"""How soon an answer of another region is looked for, and how long between two looks at most."""


class KeyReused(MeshError):
    """An Idempotency-Key was used before with another body."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a code. `request_id` names it, and `body` is the digest of what was sent under that name."""

    code: str
    action: CodeAction
    order_id: str
    request_id: str
    body: str
    customer_id: str | None = None
    amount: Money | None = None
    until: datetime | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a request. `unknown`: the home cannot be asked now."""

    outcome: CodeOutcome | Literal["unknown"]
    code_id: str = ""
    home: str = ""
    discount: Discount | None = None
    until: datetime | None = None
    repeated: bool = False


class Codes:
    """The one way in which a process asks for codes, and decides about those whose home its region is."""

    def __init__(self, mesh: Mesh, settings: PromotionSettings) -> None:
        self.mesh, self.settings = mesh, settings

    async def ask(self, asked: Asked) -> Answer:
        """What becomes of a request, once for each `request_id`. Raises KeyReused, Unavailable."""
        key = code_id(asked.code)
        homes, answered = await self._known(key, asked.request_id)
        for region, one in answered.items():
            if region not in homes or (len(homes) > 1 and region != self.mesh.region):
                continue  # whoever is not the code's home says nothing about it
            if one.event.body != asked.body:
                raise KeyReused("this Idempotency-Key was used before with another body; a new request needs a new key")
            return _answer(one.event, region, repeated=True)
        if self.mesh.region in homes:
            return await self._decide_here(key, asked, homes[self.mesh.region])
        if len(homes) > 1:  # a region says that another one's code is its own: nobody can tell which decides
            log.error("a code has records in several regions", code_id=key, regions=sorted(homes))
            return Answer(outcome="refused")
        if not homes:
            return Answer(outcome="unknown" if await self._is_cut_off(*self.mesh.others) else "refused")
        return await self._ask_home(next(iter(homes)), key, asked)

    async def decided(
        self,
        key: str,
        asked: CodeRequest,
        cause: Cause,
        further: Callable[[Verdict, CodeChanged | None], list[Change]],
        request_id: str = "",
        known: Received[CodeChanged] | None = None,
    ) -> Verdict | None:
        """Decide as the home of a code, and store it with what `further` adds. Raises Unavailable.

        `known` is the code as it was just read. None where another process has answered the request meanwhile.
        """
        for turn in range(TRIES):
            found = known if known and not turn else await self.mesh.last(CodeChanged, key)
            code = found.event if found else None
            verdict = decide(code, asked, datetime.now(UTC))
            changes = further(verdict, code)
            if verdict.changed:
                changes += [verdict.changed, Unchanged(CodeChanged, key, found.sequence if found else 0)]
                changes.append(_timer(verdict.changed))
            if not changes:
                return verdict
            try:
                await self.mesh.commit(changes, cause)
            except Conflict:
                if request_id and await self.mesh.last(CodeAnswered, request_id):
                    return None
                await asyncio.sleep(0.001 * turn)
                continue
            if verdict.outcome == "refused":
                log.info("code refused", code_id=key, order_id=asked.order_id, reason=verdict.reason)
            return verdict
        raise Unavailable(f"code {key} was changed by others {TRIES} times in a row")

    async def change(
        self, key: str, make: Callable[[CodeChanged | None], CodeChanged | None], cause: Cause
    ) -> CodeChanged | None:
        """Store another state of a code whose home is here; None where it stays as it is."""
        for turn in range(TRIES):
            found = await self.mesh.last(CodeChanged, key)
            changed = make(found.event if found else None)
            if changed is None:
                return None
            sequence = found.sequence if found else 0
            try:
                await self.mesh.commit([changed, Unchanged(CodeChanged, key, sequence), _timer(changed)], cause)
            except Conflict:
                await asyncio.sleep(0.001 * turn)
                continue
            return changed
        raise Unavailable(f"code {key} was changed by others {TRIES} times in a row")

    async def answer_region(self, received: Received[CodeRequested]) -> None:
        """Decide what another region asks of this one, once."""
        wanted = received.event
        if wanted.answer_by and wanted.answer_by < datetime.now(UTC):
            log.info("a request for a code came too late", code_id=wanted.code_id, region=received.region)
            return
        if await self.mesh.last(CodeAnswered, wanted.request_id):
            return
        asked = CodeRequest(
            action=wanted.action,
            order_id=wanted.order_id,
            region=received.region,
            place=wanted.place,
            until=wanted.until or self._until(),
            customer_id=wanted.customer_id,
            amount=wanted.amount,
        )

        def answered(verdict: Verdict, code: CodeChanged | None) -> list[Change]:
            return [
                CodeAnswered(
                    request_id=wanted.request_id,
                    code_id=wanted.code_id,
                    order_id=wanted.order_id,
                    outcome=verdict.outcome,
                    body=wanted.body,
                    discount=code.discount if code and verdict.outcome != "refused" else None,
                    until=_end(verdict, code),
                    place=wanted.place,
                    for_checkout=wanted.for_checkout,
                ),
                Unchanged(CodeAnswered, wanted.request_id, 0),
            ]

        cause = Cause(id=received.id, source="promotions.answer-region", event=received.id)
        await self.decided(wanted.code_id, asked, cause, answered, wanted.request_id)

    async def _known(
        self, key: str, request_id: str
    ) -> tuple[dict[str, Received[CodeChanged]], dict[str, Received[CodeAnswered]]]:
        """The records of a code and the answers to a request, by region; always all of them are looked for."""
        regions = (self.mesh.region, *self.mesh.others)
        found = await asyncio.gather(
            *(self.mesh.last(CodeChanged, key, region=region) for region in regions),
            *(self.mesh.last(CodeAnswered, request_id, region=region) for region in regions),
        )
        codes, answers = found[: len(regions)], found[len(regions) :]
        return (
            {region: one for region, one in zip(regions, codes, strict=True) if isinstance(one, Received)},
            {region: one for region, one in zip(regions, answers, strict=True) if isinstance(one, Received)},
        )

    async def _decide_here(self, key: str, asked: Asked, known: Received[CodeChanged]) -> Answer:
        request = CodeRequest(
            action=asked.action,
            order_id=asked.order_id,
            region=self.mesh.region,
            until=asked.until or self._until(),
            customer_id=asked.customer_id,
            amount=asked.amount,
        )
        made: list[CodeAnswered] = []

        def answered(verdict: Verdict, code: CodeChanged | None) -> list[Change]:
            made[:] = [
                CodeAnswered(
                    request_id=asked.request_id,
                    code_id=key,
                    order_id=asked.order_id,
                    outcome=verdict.outcome,
                    body=asked.body,
                    discount=code.discount if code else None,
                    until=_end(verdict, code),
                )
            ]
            if verdict.outcome == "refused":
                return []  # nothing is stored for who guesses
            return [*made, Unchanged(CodeAnswered, asked.request_id, 0)]

        cause = Cause(id=derive_id("code request", asked.request_id), source="promotions.ask")
        if await self.decided(key, request, cause, answered, asked.request_id, known) is None:
            return await self.ask(asked)  # the same request came twice at one moment
        return _answer(made[0], self.mesh.region)

    async def _ask_home(self, home: str, key: str, asked: Asked) -> Answer:
        now = datetime.now(UTC)
        wanted = CodeRequested(
            request_id=asked.request_id,
            code_id=key,
            home=home,
            action=asked.action,
            order_id=asked.order_id,
            body=asked.body,
            customer_id=asked.customer_id,
            amount=asked.amount,
            until=asked.until or self._until(),
            answer_by=now + 2 * self.settings.code_patience,
        )
        if await self._is_cut_off(home):
            return Answer(outcome="unknown", home=home)
        cause = Cause(id=derive_id("code request", asked.request_id, now.isoformat()), source="promotions.ask")
        await self.mesh.commit([wanted], cause)
        pause = FIRST_LOOK
        while datetime.now(UTC) < now + self.settings.code_patience:
            await asyncio.sleep(pause.total_seconds())
            answer = await self.mesh.last(CodeAnswered, asked.request_id, region=home)
            if answer and answer.event.body == asked.body:
                return _answer(answer.event, home)
            pause = min(2 * pause, LONGEST_LOOK)
        return Answer(outcome="unknown", home=home)

    async def _is_cut_off(self, *regions: str) -> bool:
        """Whether nothing was heard of one of these regions lately."""
        ages = await self.mesh.staleness() if regions else {}
        return any((age := ages.get(one)) is None or age > self.settings.code_stale_after for one in regions)

    def _until(self) -> datetime:
        return datetime.now(UTC) + self.settings.code_reserved_for


def _answer(answered: CodeAnswered, home: str, *, repeated: bool = False) -> Answer:
    return Answer(
        outcome=answered.outcome,
        code_id=answered.code_id,
        home=home,
        discount=answered.discount if answered.outcome != "refused" else None,
        until=answered.until,
        repeated=repeated,
    )


def _end(verdict: Verdict, code: CodeChanged | None) -> datetime | None:
    """Until when a reservation holds."""
    state = verdict.changed or code
    return state.holder.until if verdict.outcome == "reserved" and state and state.holder else None


def _timer(changed: CodeChanged) -> Change:
    """The end of a reservation; none while nothing is reserved."""
    until = changed.holder.until if changed.holder and changed.state == "reserved" else None
    if until is None:
        return Cancel(CodeReservationExpired, changed.code_id)
    return Timer(CodeReservationExpired(code_id=changed.code_id, until=until), until)
