"""Judges orders before they are charged: how many a card or device ordered lately, amounts, addresses, new accounts."""

from collections.abc import AsyncIterator
from datetime import timedelta

from mesh import Mesh, Received, Retry, Service
from mesh.event import Event
from mesh.events.fraud import FraudCheckRequested, FraudCleared
from mesh.events.order import OrderConfirmed
from mesh.events.payment import PaymentFlagged
from mesh.settings import read
from services.fraud.memory import LONGEST, Memory
from services.fraud.rules import FraudSettings, Rules, judge

service = Service("fraud", publishes=(FraudCleared, PaymentFlagged))

READS_AGAIN_AFTER = timedelta(milliseconds=200)
OWN_HISTORY = timedelta(days=30)


@service.resource
async def read_rules() -> AsyncIterator[Rules]:
    """The rules of the settings."""
    yield Rules(read(FraudSettings))


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


@service.on(FraudCheckRequested, concurrency=64)
async def judge_order(
    received: Received[FraudCheckRequested], mesh: Mesh, memory: Memory, rules: Rules
) -> AsyncIterator[Event]:
    """Clear an order, or flag its payment with the reasons. A service that still reads the log judges nobody yet."""
    if reason := next((found for check in mesh.readiness_checks if (found := check())), None):
        raise Retry(reason, after=READS_AGAIN_AFTER)
    asked = received.event
    memory.add(asked, received.stored)
    matched = judge(asked, received.stored, memory, rules)
    score, names = sum(one.weight for one in matched), tuple(one.rule for one in matched)
    if score < rules.settings.fraud_flag_at:
        yield FraudCleared(order_id=asked.order_id, score=score, rules=names, answers=received.id)
    else:
        reasons = tuple(one.reason for one in matched)
        yield PaymentFlagged(order_id=asked.order_id, score=score, rules=names, reasons=reasons, answers=received.id)
