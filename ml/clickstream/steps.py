"""A step: one thing a shopper did, in the one form that features are computed from, whatever log it came from.

An event of the mesh becomes one step without looking at any other (`step_of`); what a cart update means
depends on the cart before it (`CartExpander`), and is worked out in time order.
"""

from collections.abc import Iterable, Iterator
from sys import intern
from typing import Literal

import msgspec
from msgspec.structs import replace

from mesh.envelope import Received
from mesh.event import Event
from mesh.events.cart import CartLine, CartUpdated
from mesh.events.interaction import CheckoutStarted, ProductSearched, ProductViewed
from mesh.events.order import OrderPlaced
from mesh.money import Money

Kind = Literal["view", "search", "checkout", "cart", "change", "purchase", "moment"]
INTERACTIONS = (ProductViewed, ProductSearched, CheckoutStarted)
PURCHASING = (CartUpdated, OrderPlaced)
MOST_PRICE = 1e7
"""Prices above this many major units are taken for mistakes, like negative ones, NaN and infinities."""
MOST_WORTH = 1e10
"""Carts and orders are worth at most this many major units."""
MOST_PRODUCTS = 256
"""Different products that are distinguished in one session, so that no visitor costs unbounded memory."""
WEST, EAST = -720, 840
ORDER = "order "
"""What the id of a purchase begins with, before the order's."""


class Step(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One step. `at` is seconds since 1970 UTC; `price` (of a purchase: its total) and `cart_value` in major units.

    `products` is the whole cart of a `cart` step before it is expanded. Afterwards a product that joins
    the cart is a `cart` step of its own and any other update of the cart is a `change`; `cart_lines` and
    `cart_value` are the cart right after the step. A `moment` is no event: features are asked for then.
    Hundreds of thousands are kept in memory, so they cost the garbage collector nothing (they hold no cycles).
    """

    at: float
    id: str
    kind: Kind
    session: str
    product: str | None = None
    price: float = 0.0
    cart_lines: int = 0
    cart_value: float = 0.0
    device: str | None = None
    referrer: str | None = None
    products: tuple[str, ...] = ()
    utc_offset: int | None = None
    """Minutes east of UTC at the shopper's, where the step has it."""


def session_of(session: str | None, visitor: str, at: float) -> str:
    """The session itself, or where the storefront named none, the visitor's day (UTC)."""
    return intern(session or f"{visitor}:{int(at // 86_400)}")


def sane(price: float | None) -> float:
    """A usable price in major units: 0 for None, NaN, infinities, negatives and absurdities."""
    return price if price is not None and 0.0 <= price <= MOST_PRICE else 0.0


def cents(worth: float) -> int:
    """Major units in hundredths, whole, so that sums over a long history lose nothing."""
    return int(worth * 100 + 0.5)


def zone(minutes: int | None) -> int | None:
    """A usable distance from UTC: None where it is none on Earth."""
    return minutes if minutes is not None and WEST <= minutes <= EAST else None


def major(price: Money | None) -> float:
    """Money in major units of its currency, 0 where there is none."""
    return sane(float(price.decimal())) if price else 0.0


def value_of(lines: tuple[CartLine, ...]) -> float:
    """What the lines are worth together, in major units."""
    return min(sum(major(line.price) * max(line.quantity, 0) for line in lines), MOST_WORTH)


def step_of(received: Received[Event]) -> Step:
    """An event of the mesh as a step; ValueError for a kind that is no shopper's step.

    A step has its event's id, a purchase its order's: the page and the shop's server may both report one order.
    """
    happened, at, id_ = received.event, received.time.timestamp(), received.id
    session = session_of(getattr(happened, "session_id", None), getattr(happened, "visitor_id", ""), at)
    match happened:
        case ProductViewed(product_id=product, price=price, device=device, referrer=referrer, utc_offset=offset):
            return Step(
                at,
                id_,
                "view",
                session,
                intern(product),
                major(price),
                device=device,
                referrer=referrer,
                utc_offset=zone(offset),
            )
        case ProductSearched():
            return Step(at, id_, "search", session)
        case CheckoutStarted():
            return Step(at, id_, "checkout", session)
        case CartUpdated(lines=lines, device=device, utc_offset=offset):
            products = tuple(intern(line.product_id) for line in lines)
            filled = {"cart_lines": len(lines), "cart_value": value_of(lines), "products": products}
            return Step(at, id_, "cart", session, device=device, utc_offset=zone(offset), **filled)
        case OrderPlaced(order_id=order, lines=lines, total=total):
            products = tuple(line.product_id for line in lines)
            return Step(at, f"{ORDER}{order}", "purchase", session, price=major(total), products=products)
        case _:
            raise ValueError(f"{type(happened).__name__} is no step of a shopper")


def order_of(purchase: Step) -> str:
    """The id of the order that a purchase is."""
    return purchase.id.removeprefix(ORDER)


def once(steps: Iterable[Step]) -> list[Step]:
    """The first step of each id, in the order given."""
    found: dict[str, Step] = {}
    for step in steps:
        found.setdefault(step.id, step)
    return list(found.values())


class CartExpander:
    """Turns one visitor's steps, given in time order, into those that features understand."""

    __slots__ = ("carts",)

    def __init__(self) -> None:
        self.carts: dict[str, frozenset[str]] = {}

    def expand(self, step: Step) -> Iterator[Step]:
        """One step per product that joined the cart, or the step itself."""
        if step.kind == "purchase":
            self.carts.pop(step.session, None)
        if step.kind != "cart":
            yield step
            return
        before = self.carts.get(step.session, frozenset())
        joined = [product for product in dict.fromkeys(step.products) if product not in before]
        self.carts[step.session] = frozenset(step.products)
        if not joined:
            yield replace(step, kind="change")
        for product in joined:
            yield replace(step, product=product)
