"""The catalogue: what the shop says of its products."""

from mesh.event import Event, event
from mesh.money import Money


@event(key="product_id")
class ProductListed(Event):
    """A product as the shop's catalogue has it now, whole.

    `group` is what variants of one product share. `available`: it can be bought now. `recommendable`:
    it may be recommended to shoppers. `prices` is what it costs in other currencies than that of `price`.
    """

    product_id: str
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    group: str | None = None
    price: Money | None = None
    prices: tuple[Money, ...] = ()
    image: str | None = None
    url: str | None = None
    available: bool = True
    recommendable: bool = True
