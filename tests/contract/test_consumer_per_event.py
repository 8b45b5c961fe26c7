"""Kinds that may overtake each other: each received through a private consumer, and all of them."""

import asyncio
from datetime import timedelta

import pytest

from mesh.errors import DeclarationError
from mesh.event import Event
from mesh.events.cart import CartIdle
from mesh.events.interaction import ProductViewed
from mesh.events.offer import OfferDue
from mesh.mesh import Mesh
from mesh.runtime.run import running
from mesh.service import Service


def events_of(number):
    return (
        CartIdle(cart_id=f"c{number}", update_id="u"),
        OfferDue(run_id=f"c{number}", cart_id=f"c{number}", journey="j", abandonment_id="a", attempt=1),
        ProductViewed(visitor_id=f"v{number}", product_id="p"),
    )


async def test_every_kind_is_received_from_the_past_and_from_now_on(ground, eventually):
    """Of several kinds in several streams each event is received once, in the order of its kind."""
    service, mesh, received = Service("board"), Mesh(ground.broker, "tests"), []

    @service.on(
        CartIdle, OfferDue, ProductViewed, fanout=True, since=timedelta(hours=1), consumer_per_event=True, batch=10
    )
    async def show(events: list[Event]) -> None:
        received.extend(events)

    await mesh.publish(*events_of(1))
    async with asyncio.timeout(100), running(service, Mesh(await ground.connect(), "board")) as run:
        await mesh.publish(*events_of(2))
        await eventually(lambda: len(received) == 6 and run.unready() is None)

    for kind in (CartIdle, OfferDue, ProductViewed):
        expected = [one for number in (1, 2) for one in events_of(number) if isinstance(one, kind)]
        assert [one for one in received if isinstance(one, kind)] == expected


def test_a_durable_cannot_be_taken_apart():
    """Replicas share it, under one name."""
    with pytest.raises(DeclarationError, match="consumer_per_event needs fanout"):
        Service("carts").on(CartIdle, OfferDue, consumer_per_event=True)
