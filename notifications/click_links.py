"""Click links: what a link in a message carries, so that the shop's page can report who followed it.

`?cartmesh=<channel>.<offer>.<cart>`, and for a recommended product `.<position>.<product>` behind it: ids, no personal
data. The tag in the page (cartmesh.js) reports `offer.clicked` and `recommendation.clicked` as for a card on the site,
once somebody moves, touches or types there: programs that open the links of a mail to check them are no shoppers.
"""

from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from mesh.channels import ChannelName
from mesh.events.offer import OfferDecided

PARAMETER = "cartmesh"


class ClickLinks(msgspec.Struct, frozen=True, kw_only=True):
    """Makes the links of one offer in one channel. Only those to `host`, the shop's own, name the offer."""

    offer_id: str
    cart_id: str
    host: str
    channel: ChannelName

    @classmethod
    def of(cls, decided: OfferDecided, shop_url: str, channel: ChannelName) -> "ClickLinks":
        """The links of a decided offer in a channel."""
        return cls(offer_id=decided.offer_id, cart_id=decided.cart_id, host=_host(shop_url), channel=channel)

    def to_offer(self, url: str) -> str:
        """A link that follows the offer: to its cart, or to what is in it."""
        return self._with(url, ())

    def to_product(self, url: str, product_id: str, position: int) -> str:
        """A link to a recommended product; `position` counts from 1. An id with a dot in it would be cut at the dot."""
        return self._with(url, () if "." in product_id else (str(position), product_id))

    def _with(self, url: str, product: tuple[str, ...]) -> str:
        if not self.host or _host(url) != self.host:
            return url
        parts = urlsplit(url)
        reference = quote(".".join((self.channel, self.offer_id, self.cart_id, *product)), safe="")
        query = "&".join(filter(None, (parts.query, f"{PARAMETER}={reference}")))
        return urlunsplit(parts._replace(query=query))


def _host(url: str) -> str:
    """The host and port of an address; empty where it is none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
