"""What an answer to a request has told: a webhook that says no more has nothing to store."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from mesh import Money, Received, Retry
from mesh.events.payment import PaymentAuthorisationRequested, PaymentState
from services.payments.asking import Asking
from services.payments.provider import Charge, OutcomeUnknown

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def charge(*, captured=0, provider_id="ch_1"):
    euros = {name: Money(amount=0, currency="EUR") for name in ("released", "refunded")}
    state = PaymentState(
        provider="sandbox",
        provider_id=provider_id,
        authorised=Money(amount=4200, currency="EUR"),
        captured=Money(amount=captured, currency="EUR"),
        **euros,
    )
    return Charge(payment_id="p1", order_id="o1", region="us", created=NOW, state=state)


def requested():
    event = PaymentAuthorisationRequested(
        payment_id="p1", order_id="o1", amount=Money(amount=4200, currency="EUR"), method="m", idempotency_key="a"
    )
    return Received(event=event, id="r", time=NOW, stored=NOW, region="us", sequence=1, subject="s", attempt=1)


async def test_a_webhook_that_says_what_was_answered_is_no_news():
    """Another charge is, and so is an amount that grew since."""
    asking = Asking(None)
    assert not await asking.was_told(charge())

    async def answer():
        return charge()

    await asking.ask(requested(), "a", answer)

    assert await asking.was_told(charge())
    assert not await asking.was_told(charge(captured=4200))
    assert not await asking.was_told(charge(provider_id="ch_2"))
    assert not await asking.was_told(msgspec.structs.replace(charge(), payment_id="p2"))


async def test_a_webhook_that_comes_before_the_answer_waits_for_it():
    """The provider sends both at one moment."""
    asking, answered = Asking(None), asyncio.Event()

    async def answer():
        await answered.wait()
        return charge()

    asked = asyncio.create_task(asking.ask(requested(), "a", answer))
    await asyncio.sleep(0)
    webhook = asyncio.create_task(asking.was_told(charge()))
    await asyncio.sleep(0)
    assert not webhook.done()
    answered.set()

    assert (await asked, await webhook) == (charge(), True)


async def test_a_webhook_is_news_where_the_answer_is_lost():
    """It is what ends the doubt."""
    asking = Asking(None)

    async def lost():
        raise OutcomeUnknown("timeout")

    with pytest.raises(Retry):
        await asking.ask(requested(), "a", lost)

    assert not await asking.was_told(charge())
