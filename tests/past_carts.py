"""Carts that were left in the last three days, for tests of what decides about them again."""

from datetime import UTC, datetime, timedelta

from mesh import Mesh
from mesh.events.cart import CartAbandoned, CartLine, CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.offer import OfferDecided
from mesh.money import Money
from mesh.publish import Draft
from notifications.decision import decide
from notifications.decision_context import DecisionContext, DecisionRequest

USUAL = 'template = "mail"\nquiet = ""\nchannels = ["email"]\ncap = 2\n'
START = datetime.now(UTC) - timedelta(days=3)


async def arrive(mesh: Mesh) -> None:
    """Twenty shoppers, of whom each fourth allows no mail."""
    for number in range(20):
        visitor = f"v{number}"
        granted = ConsentChanged(visitor_id=visitor, channel="email", granted=number % 4 != 0)
        await mesh.publish(CustomerIdentified(visitor_id=visitor, email=f"{visitor}@example.test"), granted)


async def leave(mesh: Mesh, context: DecisionContext, number: int) -> None:
    """One of twenty shoppers leaves a cart at its moment, dearer than the one before, and it is decided."""
    now, price = START + timedelta(minutes=number * 70), Money(amount=1000 + 100 * number, currency="EUR")
    cart, visitor = f"c{number}", f"v{number % 20}"
    line = CartLine(product_id="p1", quantity=1, price=price)
    update = CartUpdated(cart_id=cart, visitor_id=visitor, lines=(line,))
    left = CartAbandoned(
        cart_id=cart, visitor_id=visitor, lines=(line,), total=price, left_at=now, due=now, update_id=f"u{number}"
    )
    await mesh.publish(Draft(event=update, time=now, id=f"u{number}"), Draft(event=left, time=now, id=f"left-{number}"))
    request = DecisionRequest(cart_id=cart, abandonment_id=f"left-{number}", attempt=1)
    changes = await decide(request, mesh, context, now=now)
    await mesh.publish(*(Draft(event=one, time=now) if isinstance(one, OfferDecided) else one for one in changes))
