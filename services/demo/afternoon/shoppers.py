"""DemoShoppers: the shoppers of the demo who have a part of their own."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.demo.replay.client import Client
from services.demo.replay.evidence import Sent
from services.demo.replay.shop_log import Kind, Row
from services.demo.replay.storefront_events import Storefront

FIRST = 10_000_000
"""Their rows are numbered from here, so that their ids meet no row of the log."""


@dataclass
class DemoShoppers:
    """Sends single actions of named shoppers through a region's gateway."""

    client: Client
    storefront: Storefront
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(FIRST))

    def act(
        self, region: str, visitor: str, kind: Kind, *, name: str, price: int, customer: str | None = None
    ) -> list[Sent]:
        """A visitor views, fills the cart or buys; the session and cart are `<visitor>-visit`."""
        row = Row(
            number=next(self.numbers),
            time=datetime.now(UTC),
            kind=kind,
            product_id=name.lower().replace(" ", "-"),
            user_id=visitor,
            session_id=cart_of(visitor),
            price=price,
            name=name,
            category="furniture.living_room.lamp",
            device="mobile" if visitor.endswith("phone") else "desktop",
            locale="en-GB",
            customer_id=customer,
        )
        return [self.client.send(region, payload) for payload in self.storefront.events(row, row.time)]


def cart_of(visitor: str) -> str:
    """The cart of a named shopper."""
    return f"{visitor}-visit"
