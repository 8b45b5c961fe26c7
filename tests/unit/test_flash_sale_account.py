"""The account of a flash sale: what one order costs, less what the region does by itself."""

import pytest

from services.demo.flash_sale.account import Counted, account


def counted(at, *, stored, agreed, cpu, delivered=0):
    return Counted(
        at=at,
        stored={"COMMERCE_us": stored, "OPERATIONS_us": at},
        delivered={"checkout-advance-checkout": delivered},
        agreed={"S-R3F-a": agreed, "C-R3F-b": agreed},
        cpu={"server us-1": cpu, "buyers": 1.0},
    )


def test_what_an_idle_region_does_by_itself_is_taken_off():
    """A server took 0.5 s of CPU in 5 idle seconds: of the 3 s in a sale of 20 seconds 1 s is that of 100 orders."""
    calm = counted(0, stored=7, agreed=0, cpu=0)
    before = counted(5, stored=7, agreed=0, cpu=0.5)
    after = counted(25, stored=3_707, agreed=400, cpu=3.5, delivered=2_000)

    made = account((calm, before), (before, after), 100)

    assert made.stored == {"COMMERCE_us": 37.0}
    assert made.delivered == {"checkout-advance-checkout": 20.0}
    assert (made.agreed, made.cpu_ms) == (8.0, {"server us-1": 10.0})
    assert made.orders_per_core == pytest.approx(100)


def test_nothing_that_was_counted_is_no_rate():
    """A sale without CPU has no orders a second, and raises nothing."""
    calm, before, after = (counted(at, stored=0, agreed=0, cpu=0) for at in (0, 1, 2))

    assert account((calm, before), (before, after), 1).orders_per_core == 0
