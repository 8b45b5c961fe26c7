"""Looking at dead letters: the newest of a region, newest first, whatever was driven again in between."""

from datetime import timedelta

import pytest

from mesh.broker.protocol import Outgoing
from mesh.dead_letters import dead_letter_of, latest_dead_letters, store_dead_letter
from mesh.events.cart import CartIdle
from mesh.mesh import Mesh


@pytest.fixture
def mesh(broker):
    return Mesh(broker, "tests")


@pytest.fixture
async def message(mesh):
    await mesh.publish(CartIdle(cart_id="c1", update_id="u"))
    return await mesh.broker.last("COMMERCE_us", "ev.us.cart.idle.c1")


async def test_a_region_without_dead_letters_has_no_newest(mesh):
    """Nothing was stored, nothing is found."""
    assert await latest_dead_letters(mesh, 20) == []


async def test_the_newest_come_first_and_no_more_than_asked(mesh, message):
    """Of several dead letters the one stored last comes first."""
    for durable in ("carts-a", "carts-b", "carts-c"):
        await store_dead_letter(mesh, "carts", durable, message, f"{durable} could not")

    found = await latest_dead_letters(mesh, 2)

    assert [dead_letter_of(one).durable for one in found] == ["carts-c", "carts-b"]
    assert [(one.body, one.sequence) for one in found] == [(message.body, 3), (message.body, 2)]


async def test_gaps_are_stepped_over(mesh, message, eventually):
    """What is gone in between hides nothing: dead letters far behind the newest one's number are found."""
    await store_dead_letter(mesh, "carts", "carts-a", message, "long ago")
    gone = [Outgoing(subject="dead.us.carts.carts-b", body=b"", ttl=timedelta(seconds=1)) for _ in range(30)]
    await mesh.broker.store_each("DEAD_us", gone)
    await store_dead_letter(mesh, "carts", "carts-c", message, "just now")

    async def found():
        return [one.sequence for one in await latest_dead_letters(mesh, 2)] == [32, 1]

    await eventually(found)
