"""An event is read only from where its writer had a right to put it."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh.broker.memory import MemoryMesh
from mesh.broker.protocol import Outgoing
from mesh.envelope import encode
from mesh.errors import InvalidEvent
from mesh.events.cart import CartIdle, CartUpdated
from mesh.mesh import Mesh
from mesh.timers import Cancel, Timer

IDLE = encode(CartIdle(cart_id="c1", update_id="u1"), id="i1", region="us", source="carts")


@pytest.fixture
def mesh():
    return Mesh(MemoryMesh("us").broker(), "carts")


@pytest.mark.parametrize("subject", ["ev.us.cart.idle.c2", "ev.us.cart.updated.c1"])
async def test_an_event_under_anothers_subject_is_invalid(mesh, subject):
    """The server checks who may publish on a subject; so a body cannot be of another event or another key."""
    await mesh.broker.store("COMMERCE_us", Outgoing(subject=subject, body=IDLE, id="i1"))

    with pytest.raises(InvalidEvent, match=f"cart.idle.v1 of us.cart.idle.c1 is stored under {subject}"):
        await mesh.received(await mesh.broker.last("COMMERCE_us", subject))
    assert list(await mesh.history(subject.rpartition(".")[2], "cart")) == []


@pytest.mark.parametrize("region", ["eu", ""])
async def test_an_event_of_another_region_is_invalid(mesh, region):
    """Who may publish in a region may not speak for another."""
    body = encode(CartIdle(cart_id="c1", update_id="u1"), id="i1", region=region, source="carts")
    await mesh.broker.store("COMMERCE_us", Outgoing(subject="ev.us.cart.idle.c1", body=body, id="i1"))

    with pytest.raises(InvalidEvent, match=r"is stored under ev\.us\.cart\.idle\.c1"):
        await mesh.last(CartIdle, "c1")


async def test_a_schedule_publishes_for_its_own_timer_alone(mesh, eventually):
    """A schedule may name any subject of its stream as its target: what another timer published is invalid."""
    now = datetime.now(UTC)
    forging = Outgoing(subject="timer.us.cart.closed.c9", target="ev.us.cart.idle.c1", body=IDLE, id="f", at=now)
    await mesh.broker.store("COMMERCE_us", forging)

    message = await eventually(lambda: mesh.broker.last("COMMERCE_us", "ev.us.cart.idle.c1"), within=60)

    assert message.fired_by == "timer.us.cart.closed.c9"
    with pytest.raises(InvalidEvent, match=r"by the schedule timer\.us\.cart\.closed\.c9, which is not its timer"):
        await mesh.received(message)


async def test_timers_and_cancellations_are_valid(mesh, eventually):
    """What a timer of the event itself published is read, and so is an event that cancels another's timer."""
    await mesh.publish(Timer(CartIdle(cart_id="c1", update_id="u1"), datetime.now(UTC)))
    await mesh.publish(Timer(CartIdle(cart_id="c2", update_id="u1"), datetime.now(UTC) + timedelta(hours=1)))

    await mesh.publish(CartUpdated(cart_id="c2", visitor_id="v", lines=()), Cancel(CartIdle, "c2"))

    assert (await eventually(lambda: mesh.last(CartIdle, "c1"), within=60)).event.update_id == "u1"
    assert (await mesh.last(CartUpdated, "c2")).event.cart_id == "c2"
