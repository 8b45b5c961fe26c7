"""Impressions: recommended products as shoppers were shown them, and which of them they clicked.

What was not shown cannot have been clicked, and what stood first was seen more often than what stood last. So whoever
learns from clicks needs the list, the place and the position of everything that was shown.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from mesh import Mesh, Received
from mesh.events.offer import OfferDecided, OfferSent
from mesh.events.recommendation import RecommendationClicked, RecommendationShown
from ml.clickstream.erased import Erased, read_erased

MOST_LISTS = 200_000
"""Lists that are held at once, the newest."""
MOST_OF_VISITOR = 200
"""Lists of one visitor that count, so that nobody who sends very many decides what all are shown."""
MAIL, IN_MAIL = "email", 3
"""The place of a mail's list, and how many of an offer's recommended products a mail shows."""


@dataclass(kw_only=True)
class ShownList:
    """One showing of a list. `positions` are the products' places in it, from 1; `clicked` when each was clicked."""

    visitor: str
    place: str
    version: str | None
    at: float
    positions: dict[str, int] = field(default_factory=dict)
    clicked: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Product -> the first click, in seconds since 1970 UTC, and the visitor who clicked."""


class Impressions:
    """Lists by their name, and the clicks that refer to one of them; a product counts once for each list."""

    def __init__(self, erased: Erased) -> None:
        self._erased = erased
        self._lists: dict[tuple[str, str], ShownList] = {}
        self._of: Counter[str] = Counter()
        self._recommended: dict[str, tuple[str, ...]] = {}

    def learn(self, received: Received) -> None:
        """Take in a list that was shown or mailed, or a click on one that was taken in before."""
        happened, at = received.event, received.time.timestamp()
        if self._erased.covers(happened.visitor_id, at):
            return
        match happened:
            case RecommendationShown(visitor_id=visitor, list_id=name, first=first):
                shown = self._list((visitor, name), visitor, happened.place, happened.model_version, at)
                for position, product in enumerate(happened.product_ids, first):
                    shown.positions.setdefault(product, position)
            case RecommendationClicked(visitor_id=visitor, list_id=name, product_id=product):
                # A mail's list is known by its offer, and may be clicked on another device.
                found = self._lists.get((visitor, name)) or self._lists.get(("", name))
                if found is not None and found.place == happened.place and product in found.positions:
                    found.clicked.setdefault(product, (at, visitor))
            case OfferDecided(offer_id=offer):
                self._recommended[offer] = tuple(one.product_id for one in happened.recommended[:IN_MAIL])
            case OfferSent(offer_id=offer, visitor_id=visitor, channel=channel):
                if channel == MAIL and self._recommended.get(offer):
                    shown = self._list(("", offer), visitor, MAIL, None, at)
                    shown.positions = {product: n for n, product in enumerate(self._recommended[offer], 1)}

    def lists(self) -> Iterator[ShownList]:
        """Every list that counts, in the order in which they were shown."""
        for shown in sorted(self._lists.values(), key=lambda shown: shown.at):
            if shown.positions:
                yield shown

    def _list(self, key: tuple[str, str], visitor: str, place: str, version: str | None, at: float) -> ShownList:
        found = self._lists.get(key)
        if found is None:
            found = ShownList(visitor=visitor, place=place, version=version, at=at)
            self._of[visitor] += 1
            if self._of[visitor] <= MOST_OF_VISITOR:
                self._lists[key] = found
            if len(self._lists) > MOST_LISTS:
                del self._lists[next(iter(self._lists))]
        return found


async def read_impressions(mesh: Mesh) -> Impressions:
    """What a region's shoppers were shown on the site and in mails, as far as its streams reach back."""
    impressions = Impressions(await read_erased(mesh))
    for kinds in ((OfferDecided,), (OfferSent,), (RecommendationShown,), (RecommendationClicked,)):
        async for received in mesh.read(*kinds):
            impressions.learn(received)
    return impressions
