"""Takes what shoppers look at and search for, as storefronts send it."""

from collections.abc import AsyncIterator

from mesh import Service
from mesh.accept import Sent
from mesh.events.interaction import CheckoutStarted, ProductSearched, ProductViewed
from mesh.publish import Change

service = Service("interactions", publishes=(ProductViewed, ProductSearched, CheckoutStarted))


@service.accepts(ProductViewed, ProductSearched, CheckoutStarted, ordered_by=())
async def store_interaction(sent: Sent) -> AsyncIterator[Change]:
    """An interaction is stored as it was sent."""
    yield sent.draft
