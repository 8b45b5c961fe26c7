"""The machine's ceiling: a cart event and its timer stored as raw atomic batches, with nothing else of the mesh.

A stream of three copies of its own on the same servers, so that the ratio to it holds on any machine.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from secrets import token_hex

from mesh.broker.connection import Connection
from mesh.broker.raw import RawClient, RawMessage
from mesh.envelope import encode
from mesh.event import declaration_of
from mesh.events.cart import CartIdle, CartLine, CartUpdated
from mesh.money import Money
from mesh.subjects import subject, timer_subject
from mesh.topology.jetstream_api import api

STREAM = "BENCH_CEILING"
PREFIX = "bench"
"""First token of the stream's subjects, so that they overlap with no other stream's."""


async def ceiling(raw: RawClient, operator: Connection, *, carts: int, in_one_batch: int) -> float:
    """Carts a second, each an event and a timer, with so many carts in one atomic batch."""
    messages = [_cart(number, token_hex(6)) for number in range(carts)]
    batches = [
        [message for pair in messages[at : at + in_one_batch] for message in pair]
        for at in range(0, carts, in_one_batch)
    ]
    async with _stream(operator):
        return carts / await raw.publish_batches(batches)


def _cart(number: int, run: str) -> tuple[RawMessage, RawMessage]:
    """A cart event and its timer, as the mesh writes them."""
    cart_id, id_ = f"cart-{run}-{number}", f"{run}-{number}"
    line = CartLine(product_id="p1", quantity=1, price=Money(amount=4999, currency="EUR"), name="Headphones")
    updated = CartUpdated(cart_id=cart_id, visitor_id=f"buyer-{run}-{number}", lines=(line,))
    idle = CartIdle(cart_id=cart_id, update_id=id_)
    due = datetime.now(UTC) + timedelta(hours=6)
    at = f"{PREFIX}.{subject(PREFIX, declaration_of(CartIdle), cart_id)}"
    timer = f"{PREFIX}.{timer_subject(PREFIX, declaration_of(CartIdle), cart_id)}"
    return (
        RawMessage(
            f"{PREFIX}.{subject(PREFIX, declaration_of(CartUpdated), cart_id)}",
            encode(updated, id=id_, region=PREFIX, source="bench"),
            {"Nats-Msg-Id": id_},
        ),
        RawMessage(
            timer,
            encode(idle, id=f"{id_}-idle", region=PREFIX, source="bench"),
            {
                "Nats-Msg-Id": f"{id_}.timer",
                "Nats-Schedule": f"@at {due:%Y-%m-%dT%H:%M:%SZ}",
                "Nats-Schedule-Target": at,
            },
        ),
    )


@asynccontextmanager
async def _stream(operator: Connection) -> AsyncIterator[None]:
    config = {
        "name": STREAM,
        "subjects": [f"{PREFIX}.>"],
        "storage": "file",
        "num_replicas": 3,
        "retention": "limits",
        "allow_direct": True,
        "allow_atomic": True,
        "allow_msg_schedules": True,
        "allow_msg_ttl": True,
        "duplicate_window": int(timedelta(minutes=2).total_seconds() * 1e9),
    }
    made = await api(operator, f"STREAM.CREATE.{STREAM}", config)
    if error := made.get("error"):
        raise RuntimeError(f"{STREAM}: {error}")
    try:
        yield
    finally:
        await api(operator, f"STREAM.DELETE.{STREAM}")
