"""Which recommendations shoppers saw and which of them they clicked: high volume, kept for a month.

What was not shown cannot have been clicked: whoever learns from clicks needs both.
"""

from mesh.event import Event, event
from mesh.vocabulary import Token


@event(key="visitor_id")
class RecommendationShown(Event):
    """A list of recommended products came into a shopper's view.

    `list_id` names this showing, for the clicks that follow from it; `place` is where the list stood, such as `cart`.
    `product_ids` are in the order shown, from position `first` (1 is the best); `model_version` is whose choice they
    were: None where no model chose them.
    """

    visitor_id: str
    list_id: str
    place: Token
    product_ids: tuple[str, ...]
    first: int = 1
    model_version: str | None = None
    session_id: str | None = None
    customer_id: str | None = None


@event(key="visitor_id")
class RecommendationClicked(Event):
    """A shopper clicked a recommended product; `list_id` is that of the `RecommendationShown`, `position` from 1."""

    visitor_id: str
    list_id: str
    place: Token
    product_id: str
    position: int
    session_id: str | None = None
    customer_id: str | None = None
