"""A region is lost while carts wait; its people are led to another. Back, it mails nobody who bought, nobody twice."""

import asyncio
from datetime import UTC, datetime

import pytest

from mesh.events.cart import CartConverted
from services.demo.afternoon.shoppers import DemoShoppers, cart_of
from services.demo.replay.storefront_events import Storefront

pytestmark = [pytest.mark.timeout(900), pytest.mark.drill]
LOST, NEAR = "ap", "us"
LAMP = {"name": "Desk Lamp", "price": 4900}
AWAY = 14.0
"""Seconds: longer than a timer may be late before its region is taken to have been away."""


async def test_people_are_led_from_a_lost_region_to_another(chaos, tmp_path):
    """Its timers fire when it is back, at once; who bought elsewhere meanwhile gets no offer behind the purchase."""
    buyers, leavers = [f"buyer-{number}" for number in range(4)], [f"leaver-{number}" for number in range(2)]
    async with (
        chaos.mesh(tmp_path, (NEAR, LOST), nodes=1, only=chaos.selling) as stage,
        chaos.load(stage, per_second=2) as load,
    ):
        await load.wait_for_events(20)
        led = DemoShoppers(load.client, Storefront(run="led"))

        async def act(region, visitors, kind):
            sent = [one for visitor in visitors for one in led.act(region, visitor, kind, **LAMP)]
            await chaos.until(lambda: all(one.answer == "accepted" for one in sent), f"each {kind} to be stored")
            return datetime.now(UTC)

        await act(LOST, [*buyers, *leavers], "cart")
        await stage.up.servers.kill_region(LOST)
        bought = await act(NEAR, buyers, "purchase")
        await asyncio.sleep(AWAY)
        await stage.up.servers.start_region(LOST)
        outcome = await load.outcome()

    outcome.keeps_every_promise()
    late = [
        mail
        for one in outcome.abandonments
        if one.abandoned.event.cart_id in map(cart_of, buyers)
        for mail in one.mails
        if mail.accepted_at > bought
    ]
    assert late == [], "mailed after the purchase in another region"
    converted = {one.event.cart_id for one in outcome.evidence.stored if isinstance(one.event, CartConverted)}
    assert set(map(cart_of, buyers)) <= converted
    mails = [len(one.mails) for one in outcome.abandonments if one.abandoned.event.cart_id in map(cart_of, leavers)]
    assert max(mails, default=0) <= 1
