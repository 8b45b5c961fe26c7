"""Left carts: which of them hold a product that costs less now, or that can be bought again."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec

from mesh import Mesh, Received
from mesh.events.cart import CartAbandoned, CartLine
from mesh.events.offer import OfferTriggered
from mesh.events.product import ProductListed
from mesh.events.stock import StockReplenished
from mesh.events.trigger import TriggerChecked
from mesh.money import Money
from notifications.cart_state import cart_state
from notifications.catalogue_prices import price_in
from notifications.journeys import Journey
from notifications.journeys.triggers import PRICE_DROPPED
from notifications.occasion import CART_CHANGES
from notifications.triggers.found import (
    Found,
    Part,
    as_listed,
    bought_by,
    condition_of,
    newest_of,
    reachable,
    read_log,
    side_by_side,
    total_of,
)

MOST_NEWS = 50_000
"""How many listings are read at most before left carts are looked through for them."""
MOST_CARTS = 2_000
"""How many left carts are looked at before what was found is stored."""
PRICES_BEFORE = timedelta(days=30)
"""The time before a price fell whose lowest price is named as the price before."""

Concerned = dict[str, tuple[Money | None, datetime]]
"""What products cost before, where that matters, and since when it is as it is now, by product."""


class News(msgspec.Struct, kw_only=True):
    """What the log says of products that may matter to a left cart, up to a sequence.

    `listed` are those that were listed, as of last; `replenished` when the shop's stock had them again. It begins
    behind the sequence `after`, or at the time `since` where that is 0.
    """

    after: int
    since: datetime
    upto: int = 0
    listed: dict[str, Received[ProductListed]] = {}
    replenished: dict[str, datetime] = {}

    def has(self, one: Received[ProductListed]) -> bool:
        """Whether a listing is among what is looked at, and not older."""
        return one.sequence > self.after if self.after else one.stored >= self.since


async def read_news(journey: Journey, checked: TriggerChecked, mesh: Mesh) -> News:
    """What is stored behind what was looked at before; where a look was interrupted, the same as then."""
    kinds = (ProductListed,) if journey.trigger == PRICE_DROPPED else (ProductListed, StockReplenished)
    news, read = News(after=checked.sequence, since=checked.since), 0
    async for one in read_log(mesh, *kinds, after=checked.sequence, since=checked.since):
        if (checked.until and one.sequence > checked.until) or read == MOST_NEWS:
            break
        news.upto, read = one.sequence, read + 1
        if isinstance(one.event, StockReplenished):
            news.replenished[one.event.sku] = one.event_time
        else:
            news.listed[one.event.product_id] = one
    return news


class LeftCarts:
    """One look through the left carts; what the catalogue said of products is read once."""

    def __init__(self, journey: Journey, news: News, mesh: Mesh) -> None:
        self._journey, self._news, self._mesh = journey, news, mesh
        self._past: dict[str, list[Received[ProductListed]]] = {}
        self._wanted = news.listed.keys() | news.replenished.keys()

    async def part(self, scanned: int, now: datetime) -> Part | None:
        """The next carts behind a sequence, and which of them it concerns; None behind the last one."""
        carts: dict[str, Received[CartAbandoned]] = {}
        upto = read = 0
        since = now - self._journey.triggered_within
        async for one in read_log(self._mesh, CartAbandoned, after=scanned, since=since):
            if read == MOST_CARTS:
                break
            upto, read = one.sequence, read + 1
            if self._wanted.intersection(line.product_id for line in one.event.lines) and one.event.left_at >= since:
                carts[one.event.cart_id] = one
        if not read:
            return None
        return Part(found=tuple(await side_by_side(self._found, carts.values())), upto=upto, read=read)

    async def _found(self, left: Received[CartAbandoned]) -> Found | None:
        cart, mesh = left.event, self._mesh
        concerned = await self._concerned(cart)
        person = await reachable(cart.visitor_id, cart.customer_id, mesh) if concerned else None
        if person is None:
            return None
        history = await mesh.history(cart.cart_id, CartAbandoned, *CART_CHANGES, OfferTriggered)
        if cart_state(left, history, await bought_by(person, mesh))[0] != "left":
            return None
        lines = await self._lines(cart, concerned)
        before = newest_of(history, self._journey.name)
        if before and before.abandonment_id == left.id and not self._is_news(before, lines, concerned):
            return None
        prices = {product: price for product, (price, _) in concerned.items() if price}
        event = OfferTriggered(
            cart_id=cart.cart_id,
            visitor_id=cart.visitor_id,
            journey=self._journey.name,
            trigger=self._journey.trigger,
            lines=lines,
            total=total_of(lines),
            left_at=cart.left_at,
            due=max(at for _, at in concerned.values()),
            abandonment_id=left.id,
            update_id=cart.update_id,
            products=tuple(concerned),
            prices_before=prices,
            session_id=cart.session_id,
            customer_id=cart.customer_id,
        )
        return Found(event=event, condition=condition_of(history))

    async def _concerned(self, cart: CartAbandoned) -> Concerned:
        """The products of the cart that the trigger is about: what each cost before, and since when it is so."""
        found: Concerned = {}
        judged = self._dropped if self._journey.trigger == PRICE_DROPPED else self._returned
        for line in cart.lines:
            if line.product_id in self._wanted and (one := await judged(line, cart.left_at)):
                found[line.product_id] = one
        return found

    async def _dropped(self, line: CartLine, left_at: datetime) -> tuple[Money, datetime] | None:
        """What it cost at the lowest, where it costs so much less now than the catalogue had it when the cart was left.

        A page may claim any price, so that what the cart says only spares reading the product's past.
        """
        now = self._news.listed[line.product_id]
        price = price_in(now.event, line.price.currency)
        if price is None or not now.event.available or not self._is_drop(line.price, price):
            return None
        past = await self._past_of(line.product_id)
        known = next((one for one in reversed(past) if not self._news.has(one)), None)
        last = price_in(known.event, price.currency) if known else None
        if last and last.amount <= price.amount:
            return None  # it was listed again, at a price that is no news
        then = next((one for one in reversed(past) if one.event_time <= left_at), None)
        before = price_in(then.event, price.currency) if then else None
        if before is None or not self._is_drop(before, price):
            return None
        lowest = lowest_before(past, now, price.currency) or before
        return (min(before, lowest, key=_amount), now.event_time) if lowest.amount > price.amount else None

    def _is_drop(self, before: Money, price: Money) -> bool:
        fall = before.amount - price.amount
        return fall > 0 and fall * 100 >= before.amount * self._journey.least_drop

    async def _returned(self, line: CartLine, left_at: datetime) -> tuple[None, datetime] | None:
        """Since when it can be bought again, where it could not after the cart was left."""
        past = await self._past_of(line.product_id)
        if past and not past[-1].event.available:
            return None
        replenished = self._news.replenished.get(line.product_id)
        if replenished and replenished > left_at:
            return None, replenished
        for gone, back in reversed(list(pairwise(past))):
            if back.event.available and not gone.event.available and self._news.has(back):
                return (None, back.event_time) if back.event_time > left_at else None
        return None

    def _is_news(self, before: OfferTriggered, lines: Sequence[CartLine], concerned: Concerned) -> bool:
        """Whether there is more to say than was said of the same cart before."""
        if self._journey.trigger != PRICE_DROPPED:
            return any(at > before.due for _, at in concerned.values())
        told = {line.product_id: line.price for line in before.lines}
        return any(
            line.product_id in concerned
            and (line.product_id not in told or self._is_drop(told[line.product_id], line.price))
            for line in lines
        )

    async def _lines(self, cart: CartAbandoned, concerned: Concerned) -> tuple[CartLine, ...]:
        """The cart's lines at what they cost now, those that it is about first."""
        listed = await self._mesh.last_of_each(ProductListed, {line.product_id for line in cart.lines})
        lines = [
            as_listed(line, known.event if (known := listed.get(line.product_id)) else None) for line in cart.lines
        ]
        return tuple(sorted(lines, key=lambda line: line.product_id not in concerned))

    async def _past_of(self, product: str) -> list[Received[ProductListed]]:
        if product not in self._past:
            self._past[product] = (await self._mesh.history(product, ProductListed)).of(ProductListed)
        return self._past[product]


def lowest_before(past: Sequence[Received[ProductListed]], now: Received[ProductListed], currency: str) -> Money | None:
    """The lowest price of a product in the 30 days before a listing.

    Who announces a lower price has to name this one as the price before (Directive 98/6/EC of the EU, article 6a).
    """
    earlier = [one for one in past if one.sequence < now.sequence]
    begin = now.event_time - PRICES_BEFORE
    first = max((at for at, one in enumerate(earlier) if one.event_time <= begin), default=0)
    prices = [price for one in earlier[first:] if (price := price_in(one.event, currency))]
    return min(prices, key=_amount, default=None)


def _amount(price: Money) -> int:
    return price.amount
