"""Takes the shop's catalogue, which only its own servers may send: a page could claim anything of stock and prices."""

from collections.abc import AsyncIterator

from mesh import Service
from mesh.accept import SERVER, Sent
from mesh.events.product import ProductListed
from mesh.publish import Change

service = Service("catalogue", publishes=(ProductListed,))


@service.accepts(ProductListed, by=(SERVER,), whole=True)
async def list_product(sent: Sent[ProductListed]) -> AsyncIterator[Change]:
    """A product is stored as the shop lists it."""
    yield sent.draft
