"""Growth: what one cart costs while more services listen, and with ten times the carts in the stream."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from mesh import Mesh, Service
from mesh.broker.connection import Login
from mesh.broker.raw import RawClient
from mesh.event import declaration_of
from mesh.events.cart import CartLine, CartUpdated
from mesh.money import Money
from mesh.publish import Draft
from mesh.runtime.run import running
from mesh.subjects import every

WAVE = 500
"""Carts per commit of the filling."""
CARTS_OF_ONE = 20
"""Carts of one visitor in the filling."""


@asynccontextmanager
async def listening(login: Login, mesh: Mesh, count: int) -> AsyncIterator[None]:
    """So many more services in this process, each of which consumes every cart; gone when the block ends."""
    declaration = declaration_of(CartUpdated)
    stream, subjects = mesh.stream_of(declaration.kind), every(declaration, region=mesh.region)
    async with RawClient.connect(login) as raw, AsyncExitStack() as stack:
        for number in range(count):
            service = Service(f"bench-{number}")

            @service.on(CartUpdated)
            async def collect(updated: CartUpdated) -> None:
                """Do nothing with it."""

            durable = service.bindings[0].durable
            await raw.add_durable(stream, subjects, durable)
            stack.push_async_callback(raw.delete_durable, stream, durable)
            await stack.enter_async_context(running(service, mesh))
        yield


async def fill(mesh: Mesh, carts: int, *, run: str) -> None:
    """Store so many carts that nobody leaves: they have no timer."""
    line = CartLine(product_id="p1", quantity=1, price=Money(amount=4999, currency="EUR"), name="Headphones")
    for start in range(0, carts, WAVE):
        wave = (
            CartUpdated(cart_id=f"old-{run}-{at}", visitor_id=f"old-{run}-{at // CARTS_OF_ONE}", lines=(line,))
            for at in range(start, min(start + WAVE, carts))
        )
        await mesh.publish(*(Draft(event=updated, id=updated.cart_id) for updated in wave))
