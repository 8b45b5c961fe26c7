"""Takes what shoppers look at, search for, are shown and click, as storefronts send it."""

from collections.abc import AsyncIterator

from mesh import Service
from mesh.accept import Sent
from mesh.events.interaction import CheckoutStarted, ProductSearched, ProductViewed
from mesh.events.offer import OfferClicked, OfferShown
from mesh.events.recommendation import RecommendationClicked, RecommendationShown
from mesh.publish import Change

service = Service(
    "interactions",
    publishes=(
        ProductViewed,
        ProductSearched,
        CheckoutStarted,
        RecommendationShown,
        RecommendationClicked,
        OfferShown,
        OfferClicked,
    ),
)


@service.accepts(
    ProductViewed,
    ProductSearched,
    CheckoutStarted,
    RecommendationShown,
    RecommendationClicked,
    OfferShown,
    OfferClicked,
    ordered_by=(),
    history=True,
)
async def store_interaction(sent: Sent) -> AsyncIterator[Change]:
    """An interaction is stored as it was sent."""
    yield sent.draft
