"""Attempts: what a process remembers of the offers that it sends by a channel, so that none is sent twice."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, datetime, timedelta

import msgspec

from mesh import Retry
from mesh.channels import ChannelName
from mesh.events.offer import OfferDecided, OfferDeferred, OfferFailed, OfferSent
from mesh.settings import read
from notifications.channels.delivery_errors import Undelivered, reason_of
from notifications.run import run_fields

REMEMBERED = 2_000
Result = OfferSent | OfferDeferred | OfferFailed


class SendSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How often an offer is tried and how long until the second try; the wait doubles, to an hour at most."""

    send_attempts: int = 6
    send_again_after: timedelta = timedelta(seconds=2)


class Attempts:
    """One process's attempts by one channel: at most `at_once` at a time, and the results of its recent claims."""

    def __init__(self, at_once: int) -> None:
        self._settings = read(SendSettings)
        self._busy: set[str] = set()
        self._turns = asyncio.Semaphore(at_once)
        self._claims: OrderedDict[str, Result | None] = OrderedDict()

    @contextmanager
    def alone(self, id_: str) -> Iterator[None]:
        """One delivery of an offer at a time: a second one of the same waits. Raises Retry."""
        if id_ in self._busy:
            raise Retry("it is being sent right now", after=timedelta(seconds=1))
        self._busy.add(id_)
        try:
            yield
        finally:
            self._busy.discard(id_)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait until fewer are in hand than can be sent at once; what others read would grow old meanwhile."""
        return self._turns

    def claimed(self, claim_id: str) -> None:
        """A claim is about to be made here: until `keep` nothing was handed over under it."""
        self._claims[claim_id] = None
        if len(self._claims) > REMEMBERED:
            self._claims.popitem(last=False)

    def keep(self, claim_id: str, result: Result) -> None:
        """Remember what becomes of the sending under a claim."""
        self._claims[claim_id] = result

    def is_mine(self, claim_id: str) -> bool:
        """Whether this process made that claim, and so knows what became of it."""
        return claim_id in self._claims

    def result(self, claim_id: str) -> Result | None:
        """What became of the sending under a claim of this process; None: nothing was handed over yet."""
        return self._claims.get(claim_id)

    def pause(self, attempt: int) -> timedelta:
        """How long to wait after an attempt that was not taken; it doubles, to an hour at most."""
        return min(self._settings.send_again_after * 2 ** min(attempt - 1, 12), timedelta(hours=1))

    def undelivered(
        self, decided: OfferDecided, channel: ChannelName, undelivered: Undelivered, attempt: int
    ) -> OfferDeferred | OfferFailed:
        """What becomes of an offer that was not taken: deferred to a later attempt, or failed."""
        reason = reason_of(str(undelivered))
        if not undelivered.again:
            return failed(decided, channel, reason)
        if attempt >= self._settings.send_attempts:
            return failed(decided, channel, f"gave up after {attempt} attempts: {reason}")
        return OfferDeferred(
            cart_id=decided.cart_id,
            offer_id=decided.offer_id,
            channel=channel,
            attempt=attempt,
            reason=reason,
            until=datetime.now(UTC) + self.pause(attempt),
            **run_fields(decided),
        )


def failed(decided: OfferDecided, channel: ChannelName, reason: str) -> OfferFailed:
    """The offer will not be sent by this channel."""
    return OfferFailed(
        cart_id=decided.cart_id, offer_id=decided.offer_id, channel=channel, reason=reason, **run_fields(decided)
    )
