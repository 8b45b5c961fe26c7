"""The bench's consumer as a FastStream application; imported only where FastStream is installed."""

from collections.abc import Callable
from datetime import datetime

from faststream.nats import JStream, NatsBroker, PullSub
from pydantic import BaseModel

from mesh.broker.connection import Login
from mesh.broker.raw import CONSUMER


class Price(BaseModel):
    """An amount in minor units."""

    amount: int
    currency: str


class Viewed(BaseModel):
    """What is inside the envelope."""

    visitor_id: str
    product_id: str
    session_id: str | None = None
    customer_id: str | None = None
    category: str | None = None
    brand: str | None = None
    price: Price | None = None
    referrer: str | None = None
    device: str | None = None


class Cloud(BaseModel):
    """A CloudEvent around it."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: Viewed
    traceparent: str | None = None


def application(
    login: Login, *, stream: str, subjects: str, durable: str, fetch: int, count: Callable[[str], None]
) -> NatsBroker:
    """A broker with one pull subscriber on a durable that exists; `count` is called with each event's product."""
    urls = [server.replace("nats://", f"nats://{login.user}:{login.password}@") for server in login.servers]
    broker = NatsBroker(urls, logger=None)

    @broker.subscriber(
        subjects,
        stream=JStream(stream, declare=False),
        durable=durable,
        pull_sub=PullSub(batch_size=fetch),
        max_workers=64,
        config=CONSUMER,
    )
    async def count_view(event: Cloud) -> None:
        count(event.data.product_id)

    return broker
