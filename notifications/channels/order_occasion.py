"""Order occasion: which message an event of an order asks for, to whom, and what it is about."""

from typing import Any, get_args

import msgspec

from mesh import Event, Mesh, Received
from mesh.channels import EMAIL, ChannelName
from mesh.envelope import derive_id
from mesh.events.cart import CartLine
from mesh.events.order import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderDeliveryAddressed,
    OrderReaddressed,
    OrderRefunded,
)
from mesh.events.shipment import ShipmentDelivered, ShipmentDispatched
from notifications.order_variables import order_variables
from notifications.shopper_profile import profile_of
from notifications.template_variables import Shop

OrderEvent = OrderConfirmed | OrderCancelled | OrderRefunded | ShipmentDispatched | ShipmentDelivered
ORDER_EVENTS: tuple[type[Event], ...] = get_args(OrderEvent)
CONFIRMED, CANCELLED, REFUNDED = "order-confirmed", "order-cancelled", "order-refunded"
SHIPPED, DELIVERED = "order-shipped", "order-delivered"


class OrderMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is to be sent. Personal: `email`, `phone`, `locale` and `data` go into no event and no log.

    `email` and `phone` are those that the order names; `once` tells one occasion of the order from another.
    """

    order_id: str
    template: str
    once: str
    email: str | None
    phone: str | None
    visitor_id: str | None
    locale: str | None
    data: dict[str, Any]

    def id_in(self, channel: ChannelName) -> str:
        """The message's id in a channel: a second report of the same has the same one."""
        named = "order mail" if channel == EMAIL.name else f"order {channel}"
        return derive_id(named, self.order_id, self.template, self.once)


async def message_of(received: Received[OrderEvent], mesh: Mesh, shop: Shop) -> OrderMessage | None:
    """The message that an event asks for; None for orders that were not taken here.

    It goes to whom the order names now. Its language is the one that the shopper gave the shop.
    """
    happened, order_id = received.event, received.event.order_id
    created = await mesh.last(OrderCreated, order_id)
    address = await _address(created.event, mesh) if created else None
    if created is None:
        return None
    order = created.event
    lines, refund = await _content(received, order, mesh)
    if lines is None:
        return None
    visitor = order.visitor_id
    profile = profile_of(await mesh.history(visitor, "customer")) if visitor else None
    template, once = _occasion(received)
    parcel = happened if isinstance(happened, ShipmentDispatched) else None
    data = order_variables(
        order,
        shop,
        lines=lines,
        name=address.name if address else None,
        time_zone=profile.time_zone if profile else None,
        cause=_cause(happened) if isinstance(happened, OrderCancelled) else None,
        partial=isinstance(happened, OrderCancelled) and bool(happened.left),
        refund=refund,
        carrier=parcel.carrier if parcel else None,
        tracking=parcel.tracking if parcel else None,
        tracking_url=parcel.tracking_url if parcel else None,
    )
    return OrderMessage(
        order_id=order_id,
        template=template,
        once=once,
        email=address.email if address else None,
        phone=address.phone if address else None,
        visitor_id=visitor,
        locale=profile.locale if profile else None,
        data=data,
    )


def _occasion(received: Received[OrderEvent]) -> tuple[str, str]:
    """The template, and what tells one occasion of an order from another: a second report of the same is none."""
    match received.event:
        case OrderConfirmed():
            return CONFIRMED, ""
        case OrderCancelled():
            return CANCELLED, received.id
        case OrderRefunded(refunded=refunded):
            return REFUNDED, str(refunded.amount)
        case ShipmentDispatched(tracking=tracking):
            return SHIPPED, tracking or ""
        case ShipmentDelivered():
            return DELIVERED, ""


def _cause(cancelled: OrderCancelled) -> str:
    """Why an order was cancelled, as its buyer reads it. Why it was suspected of fraud is nobody's business."""
    if cancelled.by == "checkout":
        step = cancelled.reason.partition(":")[0]
        return {"reserve": "sold_out", "authorise": "payment"}.get(step, "shop")
    return cancelled.by


async def _content(received: Received[OrderEvent], order: OrderCreated, mesh: Mesh) -> tuple[Any, Any]:
    """The lines that a mail is about, and what is paid back; no lines (None) where there is nothing to tell."""
    happened = received.event
    if isinstance(happened, OrderCancelled):
        pieces = {one.product_id: one.quantity for one in happened.lines}
        known = [(line, pieces.get(line.product_id, 0)) for line in order.lines]
        gone = tuple(msgspec.structs.replace(line, quantity=quantity) for line, quantity in known if quantity)
        return gone, happened.amount
    cancelled = await mesh.last(OrderCancelled, order.order_id)
    left: tuple[CartLine, ...] = cancelled.event.left if cancelled else order.lines
    if isinstance(happened, OrderRefunded):
        history = await mesh.history(order.order_id, OrderRefunded)
        earlier = [one.event.refunded.amount for one in history if one.sequence < received.sequence]
        amount = happened.refunded.amount - max(earlier, default=0)
        refund = msgspec.structs.replace(happened.refunded, amount=amount)
        return (left or order.lines, refund) if amount > 0 else (None, None)
    return left or order.lines, None


async def _address(order: OrderCreated, mesh: Mesh) -> OrderDeliveryAddressed | None:
    readdressed = await mesh.last(OrderReaddressed, order.order_id)
    named = readdressed.event.address_id if readdressed else order.address_id
    known = (await mesh.history(order.order_id, OrderDeliveryAddressed)).of(OrderDeliveryAddressed)
    return next((one.event for one in reversed(known) if one.event.address_id == named), None)
