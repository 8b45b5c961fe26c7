"""Timers and cancellations as values."""

from datetime import UTC, datetime

from mesh.events.cart import CartIdle
from mesh.timers import Cancel, Timer


def test_timers_and_cancellations_are_values():
    """Equal when they mean the same, so that handlers can be tested by comparing what they yield."""
    at, idle = datetime(2026, 1, 1, tzinfo=UTC), CartIdle(cart_id="c1", update_id="u1")

    assert Timer(idle, at) == Timer(CartIdle(cart_id="c1", update_id="u1"), at)
    assert Cancel(CartIdle, "c1") == Cancel(CartIdle, "c1")
    assert Cancel(CartIdle, "c1") != Cancel(CartIdle, "c2")
