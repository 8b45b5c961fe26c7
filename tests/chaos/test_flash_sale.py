"""A flash sale while services, leaders and links fail: the ledger of every order has no fault in it."""

from datetime import timedelta

import pytest
from rich.console import Console

from services.demo.flash_sale.command import complaints, hold
from services.demo.flash_sale.ledger import draw_up
from services.demo.flash_sale.plan import Plan

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(("chaos", "nodes"), [("kill", 3), ("cut", 1)])
async def test_every_order_comes_to_one_end_whatever_is_killed_or_cut(tmp_path, chaos, nodes):
    """Nothing is oversold, charged twice, charged without an order, stuck, lost or done twice; some orders fail."""
    plan = Plan(
        orders=1000,
        skus=12,
        seed=11,
        chaos=chaos,
        regions=("us", "eu"),
        nodes=nodes,
        rate=15,
        at_once=16,
        patience=timedelta(minutes=5),
    )

    placed, records, trouble = await hold(plan, Console(quiet=True), tmp_path)

    ledger = draw_up(placed, records)
    assert (ledger.wrong, complaints(placed, records)) == ([], [])
    assert (ledger.orders, ledger.confirmed + ledger.cancelled) == (1000, 1000)
    assert (ledger.confirmed > 0, ledger.cancelled > 0, len(trouble) > 3) == (True, True, True)
