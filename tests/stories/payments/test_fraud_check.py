"""Every order that the checkout asks about is cleared, or its payment flagged with the reasons."""

from mesh import Mesh, Money
from mesh.events.fraud import FraudCheckRequested, FraudCleared
from mesh.events.payment import PaymentFlagged
from mesh.runtime.run import running
from services import fraud


async def test_the_sixth_order_of_a_card_within_a_minute_is_flagged(regions, mesh, eventually):
    """The others are cleared; a service that starts again has forgotten nothing."""

    def check(number, card="4242"):
        total = Money(amount=4200, currency="EUR")
        return FraudCheckRequested(order_id=f"{card}-{number}", amount=total, card=card)

    async def answered(*orders):
        async def all_are():
            found = [await mesh.last(FraudCleared, one) or await mesh.last(PaymentFlagged, one) for one in orders]
            return all(found) and [type(one.event).__name__ for one in found]

        return await eventually(all_are)

    for _ in range(2):
        await mesh.publish(check(0))  # asked again, it is still one order
    first = regions.broker("us")
    async with running(fraud.service, Mesh(first, "fraud")):
        await mesh.publish(check(1), check(2))
        before = await answered("4242-0", "4242-1", "4242-2")
    await first.drain()
    await mesh.publish(check(3), check(4), check(0, "other"))
    again = regions.broker("us")
    async with running(fraud.service, Mesh(again, "fraud")):
        after = await answered("4242-3", "4242-4", "other-0")
        await mesh.publish(check(5))
        sixth = await answered("4242-5")
    await again.drain()
    flagged = (await mesh.last(PaymentFlagged, "4242-5")).event

    assert ["FraudCleared"] * 3 == before == after
    assert sixth == ["PaymentFlagged"]
    assert (
        flagged.score,
        flagged.rules,
        flagged.reasons,
    ) == (100, ("card/1m>5=100",), ("6 orders of one card in 1m",))
    assert flagged.answers == (await mesh.last(FraudCheckRequested, "4242-5")).id
