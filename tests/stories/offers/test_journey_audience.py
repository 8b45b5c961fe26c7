"""Audiences where offers are decided: the services at work on the in-memory twin, with what they really read."""

from itertools import count

from mesh.events.offer import OfferDecided
from mesh.events.order import PurchaseMarked
from mesh.profiles import visitor_digest
from notifications.documents.publishing import publish
from notifications.journeys.kind import FILE, JOURNEYS

BIG = '[audience]\nfield = "cart.value"\nis = "at least"\nvalue = ["80 EUR"]\n'
NEW = """[audience]
all = [
  { field = "shopper.returning", is = "no" },
  { field = "shopper.language", is = "one of", value = ["de", "nl"] },
  { field = "cart.device", is = "not one of", value = ["tablet"] },
  { field = "score.propensity", is = "less than", value = 30 },
]
"""


MET = (
    "the shopper has never bought before",
    "language is one of de or nl (not shown, as it is personal)",
    "device is not tablet (mobile)",
    "probability of buying without an offer is less than 30 % (20 %)",
)


async def test_each_journey_decides_by_its_audience_and_says_why(at_work, shop, box, journeys, eventually):
    """A new shopper gets the offer of both, one who has bought before that of one; no decision names the language."""
    journeys(big=BIG, new=NEW)
    async with at_work():
        await shop.mesh.publish(PurchaseMarked(shopper=visitor_digest("bob"), order_id="o1"))
        for visitor in ("ada", "bob"):
            await shop.identify(visitor, locale="de-AT")
            await shop.fill(f"c-{visitor}", visitor, device="mobile")
            await shop.score(f"c-{visitor}", visitor, await shop.leave(f"c-{visitor}", visitor))

        ada = await eventually(lambda: _decided(shop, "c-ada", 2))
        bob = await eventually(lambda: _decided(shop, "c-bob", 2))

    assert {name: one[:3] for name, one in ada.items()} == {
        "big": ("approved", "", "cart value is at least 80 EUR (90.00 EUR)"),
        "new": (
            "approved",
            "",
            "; ".join(MET),
        ),
    }
    assert {name: one[:3] for name, one in bob.items()} == {
        "big": ("approved", "", "cart value is at least 80 EUR (90.00 EUR)"),
        "new": ("dropped", "not in the audience", "not met: the shopper has never bought before"),
    }


async def test_what_is_published_is_asked_of_the_next_cart(at_work, shop, box, journeys, eventually):
    """Without a restart; a shopper of whom nothing is known meets no comparison with what is not known."""
    journeys(big=BIG)
    async with at_work():
        await shop.identify("eve")
        await shop.fill("c1", "eve")
        await shop.leave("c1", "eve")
        before = await eventually(lambda: _decided(shop, "c1", 1))
        text = f'template = "abandoned-cart"\nquiet = ""\n{NEW}'
        await publish(JOURNEYS, "big", {FILE: text}, "ada", shop.mesh)
        carts = count(2)

        async def decided_by_it():
            cart = f"c{next(carts)}"
            await shop.fill(cart, "eve")
            await shop.leave(cart, "eve")
            found = await eventually(lambda: _decided(shop, cart, 1))
            return found if found["big"][3] == 1 else None

        after = await eventually(decided_by_it)

    assert before["big"][:2] == ("approved", "")
    assert after["big"][:2] == ("dropped", "not in the audience")
    assert after["big"][2].split("; ") == [
        "not met: language is one of de or nl (not known)",
        "not met: device is not tablet (not known)",
        "not met: probability of buying without an offer is less than 30 % (not known)",
    ]


async def _decided(shop, cart, count):
    """Of each journey: outcome, reason, what the check `audience` says, and the revision; None until there are all."""
    found = await shop.all(cart, OfferDecided)
    if len(found) < count:
        return None
    said = {one.journey: next(check.value for check in one.checks if check.name == "audience") for one in found}
    return {one.journey: (one.outcome, one.reason, said[one.journey], one.journey_revision) for one in found}
