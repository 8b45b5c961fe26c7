"""Asking the provider: under one key until there is a definite answer, which is remembered for a while."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from cachetools import LRUCache

from mesh import Bury, Received, Retry
from services.payments.fold import joined
from services.payments.provider import Charge, OutcomeUnknown, Provider

KEYS_KEPT = timedelta(hours=23)
"""How long a provider is sure to know a key that it was given: Stripe may forget one after 24 hours."""
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(milliseconds=500), timedelta(minutes=1)
_UNCONFIGURED = timedelta(seconds=30)
_REMEMBERED = 20_000
_WEBHOOK_WAITS = 1.0
"""Seconds that a webhook waits for the answer to a request about its payment."""


class Asking:
    """Asks one provider, which may be None where none is configured."""

    def __init__(self, provider: Provider | None) -> None:
        self.configured = provider
        self._reports: LRUCache[str, Charge | None] = LRUCache(_REMEMBERED)  # None: asked, and not answered
        self._under_way: dict[str, asyncio.Event] = {}
        self._told: LRUCache[str, Charge] = LRUCache(_REMEMBERED)

    @property
    def provider(self) -> Provider:
        """The provider. Raises Retry where none is configured."""
        if self.configured is None:
            raise Retry(
                "no payment provider: set CARTMESH_URL_PAYMENT_PROVIDER or a key of Stripe", after=_UNCONFIGURED
            )
        return self.configured

    def may_have_happened(self, received: Received, key: str) -> bool:
        """Whether the provider may have been asked this before, by this process or by one that ended meanwhile."""
        return received.attempt > 1 or key in self._reports

    async def was_told(self, charge: Charge) -> bool:
        """Whether an answer to this process says all that a webhook says; one that is under way is waited for.

        Then there is nothing to store: the request that was answered is delivered until its answer is stored.
        """
        if answered := self._under_way.get(charge.payment_id):
            with suppress(TimeoutError):
                await asyncio.wait_for(answered.wait(), _WEBHOOK_WAITS)
        told = self._told.get(charge.payment_id)
        return (
            told is not None
            and told.state.provider_id == charge.state.provider_id
            and joined(told.state, charge.state) == told.state
        )

    async def ask(self, received: Received[Any], key: str, call: Callable[[], Awaitable[Charge]]) -> Charge:
        """What the provider answers. Raises RequestRefused, and Retry where to ask again with the same key.

        Raises Bury for a request so old that the provider may have forgotten the key, and could do it twice.
        """
        if known := self._reports.get(key):
            return known
        if received.attempt > 1 and datetime.now(UTC) - received.stored > KEYS_KEPT:
            raise Bury("the provider may have forgotten this request's key: look in its books before asking again")
        self._reports[key] = None
        payment_id, answered = received.event.payment_id, asyncio.Event()
        self._under_way[payment_id] = answered
        try:
            report = await call()
        except OutcomeUnknown as unknown:
            pause = min(_FIRST_PAUSE * 2 ** min(received.attempt, 10), _LONGEST_PAUSE)
            raise Retry(f"unknown outcome, asked again with the same key: {unknown}", after=pause) from unknown
        else:
            self._reports[key] = self._told[payment_id] = report
            return report
        finally:
            answered.set()
            if self._under_way.get(payment_id) is answered:
                del self._under_way[payment_id]
