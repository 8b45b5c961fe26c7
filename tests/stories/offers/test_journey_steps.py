"""Journeys of several steps: each is decided when its time has come, and a run ends when it should."""

from datetime import timedelta

from mesh.events.offer import OfferDecided

TWO = """
[[steps]]
name = "first"

[[steps]]
name = "second"
after = "300ms"
discount_percent = 0
"""


async def test_the_second_step_is_sent_after_the_first(at_work, shop, box, journeys, eventually):
    """Two offers of one run with ids and decisions of their own, the second one held until its time."""
    journeys(sale=TWO)
    async with at_work():
        await shop.identify("ada")
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        await box.wait_for(2)
        found = await eventually(lambda: _final(shop, "c1", 2))

    first, second = found
    assert [(one.step, one.position, one.outcome) for one in found] == [
        ("first", 1, "approved"),
        ("second", 2, "approved"),
    ]
    assert (first.run_id, first.discount_percent) == (second.run_id, 10)
    assert (second.discount_percent, second.coupon) == (0, None)
    assert [mail.offer_id for mail in box.mails] == [first.offer_id, second.offer_id]
    assert box.mails[1].received - box.mails[0].received > timedelta(milliseconds=250)


async def _final(shop, cart, count):
    found = [one for one in await shop.all(cart, OfferDecided) if one.outcome != "held"]
    return found if len(found) >= count else None
