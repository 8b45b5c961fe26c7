"""Knows every cart: which is left, which ends because its shopper bought elsewhere, which an offer won back."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from mesh import Cancel, History, Mesh, Received, Retry, Service, Unchanged, settings
from mesh.accept import Refused, Sent
from mesh.bought_lines import all_purchases, bought_lines, unbought_lines
from mesh.envelope import derive_id
from mesh.events.cart import (
    CartAbandoned,
    CartClosed,
    CartConverted,
    CartIdle,
    CartLine,
    CartLineAdded,
    CartLineRemoved,
    CartRecovered,
    CartUpdated,
)
from mesh.events.order import OrderConfirmed, OrderCreated, OrderPlaced, OrderReportRefused, PurchaseHeartbeat
from mesh.left_carts import LeftCartSettings
from mesh.observability.logs import log
from mesh.profiles import PROFILES, names_of, purchases_of, read_profile
from mesh.publish import Change, Draft
from services.carts.attribution import end_of, recovery
from services.carts.fold import CartView, fold, total_of
from services.carts.line_changes import LineChange, changed_cart
from services.carts.rules import CartSettings, Rules, check, is_outdated, may_be_outdated

service = Service(
    "carts",
    publishes=(
        CartUpdated,
        CartLineAdded,
        CartLineRemoved,
        CartIdle,
        CartAbandoned,
        CartConverted,
        CartClosed,
        CartRecovered,
        PurchaseHeartbeat,
    ),
    timers=(CartIdle,),
    views=(PROFILES,),
)

STALE_READ = timedelta(milliseconds=200)
"""When to read again after a follower answered that has not applied what was just consumed."""


@service.resource
async def read_rules() -> AsyncIterator[Rules]:
    """The settings."""
    yield Rules(settings.read(CartSettings), settings.read(LeftCartSettings).abandon_after)


async def stop_outdated_cart(
    refused: Refused[CartUpdated | LineChange], mesh: Mesh, rules: Rules
) -> AsyncIterator[Change]:
    """A cart whose update was refused is no longer what it was: what is known of it may not be mailed."""
    cart_id = refused.fields.get("cart_id")
    known = await mesh.last(CartUpdated, cart_id) if cart_id else None
    if cart_id is None or known is None:
        return
    emptied = CartUpdated(
        cart_id=cart_id,
        visitor_id=refused.fields.get("visitor_id", known.event.visitor_id),
        lines=(),
        refused=f"{refused.path}: {refused.reason}"[:512],
    )
    sent = Sent(
        event=emptied,
        id=refused.id,
        time=refused.time,
        received=refused.received,
        by=refused.by,
        attempt=refused.attempt,
    )
    async for change in store_cart(sent, mesh, rules):
        yield change


@service.accepts(CartUpdated, publishes=(CartIdle,), check=check, refused=stop_outdated_cart, history=True)
async def store_cart(sent: Sent[CartUpdated], mesh: Mesh, rules: Rules) -> AsyncIterator[Change]:
    """A cart and the timer that counts it as left are one commit. An emptied cart cancels the timer."""
    updated = sent.event
    yield sent.draft
    if sent.history:
        return
    if may_be_outdated(sent):
        newest = await mesh.last(CartUpdated, updated.cart_id)
        yield Unchanged(CartUpdated, updated.cart_id, newest.sequence if newest else 0)
        if newest is not None and await is_outdated(sent, newest, mesh):
            return
    yield rules.idle_timer(sent) if updated.lines else Cancel(CartIdle, updated.cart_id)


@service.accepts(CartLineAdded, CartLineRemoved, publishes=(CartUpdated, CartIdle), refused=stop_outdated_cart)
async def change_line(sent: Sent[LineChange], mesh: Mesh, rules: Rules) -> AsyncIterator[Change]:
    """A change of a cart, the whole cart that follows from it, and its timer are one commit."""
    updated, watched = await changed_cart(sent, mesh)
    yield sent.draft
    async for change in store_cart(updated, mesh, rules):
        yield change
    for unchanged in watched:
        yield unchanged


@service.joins(OrderPlaced, OrderConfirmed, publishes=(CartConverted,))
async def convert_cart(sent: Sent[OrderPlaced | OrderConfirmed], mesh: Mesh) -> AsyncIterator[Change]:
    """An order ends its cart and the cart's timer, in the order's own commit."""
    order = sent.event
    if order.cart_id is None or sent.history:
        return
    visitor_id = order.visitor_id
    if isinstance(order, OrderConfirmed):
        converted = await mesh.last(CartConverted, order.cart_id)
        updated = await mesh.last(CartUpdated, order.cart_id)
        reported = converted and converted.event.order_id == order.order_id
        if reported and not (updated and updated.sequence > converted.sequence):
            return  # a page reported it, and the cart has not changed since
        visitor_id = visitor_id or (updated.event.visitor_id if updated else "")
    ended = CartConverted(cart_id=order.cart_id, order_id=order.order_id, visitor_id=visitor_id or "")
    yield Draft(event=ended, time=sent.time)
    yield Cancel(CartIdle, order.cart_id)


@service.on(OrderCreated)
async def convert_ordered_cart(received: Received[OrderCreated], mesh: Mesh) -> AsyncIterator[Change]:
    """A cart that the shop ordered over HTTP has become that order, and its timer ends.

    Until then the marks that are stored with the order keep anybody from sending an offer for it.
    """
    created = received.event
    if created.cart_id is None:
        return
    history = await mesh.history(created.cart_id, CartUpdated, CartConverted)
    if any(one.event.order_id == created.order_id for one in history.of(CartConverted)):
        return
    updated = history.last(CartUpdated)
    visitor_id = created.visitor_id or (updated.event.visitor_id if updated else "")
    ended = CartConverted(cart_id=created.cart_id, order_id=created.order_id, visitor_id=visitor_id)
    yield Draft(event=ended, time=received.time)
    if updated is None or updated.event_time <= received.event_time:
        yield Cancel(CartIdle, created.cart_id)
    for unchanged in history.unchanged(CartUpdated, CartConverted):
        yield unchanged


@service.on(CartIdle, concurrency=48)
async def abandon_cart(received: Received[CartIdle], mesh: Mesh) -> AsyncIterator[Change]:
    """A filled cart that nobody touched since its timer was set is abandoned, with the lines that nobody has bought.

    It is closed instead where its shopper bought since its last update, or has bought all that it lists. A bot's cart
    stays as it is.

    The one condition is that it did not become an order here. Whatever else happens meanwhile leaves it as true that
    nobody touched the cart for so long, and is judged with the offer (decisions/0024).
    """
    idle = received.event
    history = await mesh.history(idle.cart_id, CartUpdated, CartAbandoned, CartConverted, CartClosed)
    cart = fold(idle.cart_id, history)
    if cart.status != "open" or not _is_due(cart, history, idle):
        return
    profile = await read_profile(mesh, cart.visitor_id, names_of(cart.customer_id))
    if profile.bot:
        log.info("a bot's cart is left alone", cart_id=cart.cart_id)
        return
    purchases = await purchases_of(mesh, profile.digests)
    latest = max((one for one in purchases.values() if one), key=lambda one: one.event_time, default=None)
    bought = bought_lines(history, await all_purchases(mesh, purchases))
    lines = unbought_lines(cart.lines, bought)
    if latest and cart.updated_at <= latest.event_time:
        yield _closed(cart, latest.event.order_id, latest.region, latest.event_time)
    elif not lines:
        purchase = bought[cart.lines[0].product_id].purchase
        yield _closed(cart, purchase.event.order_id, purchase.region, purchase.event_time)
    else:
        yield _abandoned(cart, lines, received)
        for unchanged in history.unchanged(CartConverted):
            yield unchanged
        return
    for unchanged in history.unchanged(CartUpdated, CartConverted, CartClosed, CartAbandoned):
        yield unchanged


def _is_due(cart: CartView, history: History, idle: CartIdle) -> bool:
    """Whether the timer speaks for the cart's newest update. Raises Retry when it is too early to say.

    An update that was overtaken by a newer one on its way here has replaced the newer one's timer:
    then this timer stands for both, and waits until the newer one is due.
    """
    if cart.update_id == idle.update_id:
        return True
    waited_on = next((update for update in history.of(CartUpdated) if update.id == idle.update_id), None)
    if waited_on is None:
        raise Retry("the update that this timer waited on cannot be read yet", after=STALE_READ)
    if waited_on.sequence < cart.update_sequence:
        return False  # the newer update has a timer of its own
    left = cart.updated_at + idle.after - datetime.now(UTC)
    if left > timedelta(0):
        raise Retry("an update was overtaken by a newer one", after=left)
    return True


@service.on(OrderPlaced, OrderConfirmed, OrderReportRefused, reach="mesh")
async def close_carts_of_buyer(
    received: Received[OrderPlaced | OrderConfirmed | OrderReportRefused], mesh: Mesh
) -> AsyncIterator[Change]:
    """Close a buyer's other carts here, whichever region or device they bought on."""
    placed, at = received.event, received.event_time
    refused = isinstance(placed, OrderReportRefused)
    order_id = placed.report_id if refused else placed.order_id
    converted = received.region == mesh.region and not refused
    carts = set((await read_profile(mesh, placed.visitor_id, names_of(placed.customer_id))).carts)
    if placed.cart_id:
        carts = carts - {placed.cart_id} if converted else carts | {placed.cart_id}
    for cart_id in sorted(carts):
        history = await mesh.history(cart_id, "cart", "offer")
        cart = fold(cart_id, history)
        if cart.status not in ("open", "abandoned") or cart.updated_at > at:
            continue
        yield _closed(cart, order_id, received.region, at)
        yield Cancel(CartIdle, cart_id)
        for unchanged in history.unchanged(CartUpdated, CartConverted, CartClosed):
            yield unchanged


@service.on(OrderConfirmed, reach="mesh")
async def recover_cart(received: Received[OrderConfirmed], mesh: Mesh, rules: Rules) -> AsyncIterator[Change]:
    """A confirmed order that follows an offer for its cart was won by the offer. Once per offer and per order."""
    order = received.event
    if order.cart_id is None:
        return
    history = await mesh.history(order.cart_id, "cart", "offer")
    if received.region == mesh.region and end_of(history, order.order_id) is None:
        raise Retry("the cart's end cannot be read yet", after=STALE_READ)
    if recovered := recovery(history, received, rules.settings.attribution):
        yield recovered
        for unchanged in history.unchanged(CartRecovered):
            yield unchanged


@service.every(timedelta(seconds=1))
async def beat_after_purchases(tick: datetime, mesh: Mesh) -> AsyncIterator[Change]:
    """Tell all regions that every purchase here up to now lies before this in their copies.

    That of `heartbeat` may reach them before older purchases: after an outage each stream is copied at its own pace.
    """
    yield PurchaseHeartbeat(region=mesh.region, at=tick)


def _abandoned(cart: CartView, lines: tuple[CartLine, ...], idle: Received[CartIdle]) -> Draft:
    """The abandonment of a cart as it was last updated: of each update there is one, whoever else publishes it too."""
    abandoned = CartAbandoned(
        cart_id=cart.cart_id,
        visitor_id=cart.visitor_id,
        lines=lines,
        total=total_of(lines),
        left_at=cart.updated_at,
        due=idle.time,
        update_id=cart.update_id,
        session_id=cart.session_id,
        customer_id=cart.customer_id,
    )
    return Draft(event=abandoned, id=derive_id(idle.region, service.name, "abandoned", cart.cart_id, cart.update_id))


def _closed(cart: CartView, order_id: str, region: str, at: datetime) -> Draft:
    closed = CartClosed(cart_id=cart.cart_id, visitor_id=cart.visitor_id, order_id=order_id, region=region)
    return Draft(event=closed, time=at)
