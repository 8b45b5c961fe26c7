"""Attribution: which offer a confirmed order followed."""

from datetime import timedelta

from mesh import History, Received
from mesh.events.cart import CartClosed, CartConverted, CartRecovered
from mesh.events.offer import OfferSent
from mesh.events.order import OrderConfirmed


def end_of(history: History, order_id: str) -> Received | None:
    """What ended the cart because of an order, or None."""
    ends = [*history.of(CartConverted), *history.of(CartClosed)]
    return next((end for end in ends if end.event.order_id == order_id), None)


def recovery(history: History, received: Received[OrderConfirmed], attribution: timedelta) -> CartRecovered | None:
    """The recovery, where the newest offer before the order was sent since the cart ended before.

    None where the order or the offer was credited already, or where more than `attribution` lies between them.
    """
    order, end = received.event, end_of(history, received.event.order_id)
    at = (end or received).event_time
    offers = [one for one in history.of(OfferSent) if (one.sequence < end.sequence if end else one.time <= at)]
    if not offers or at - offers[-1].time > attribution:
        return None
    offer = offers[-1]
    ends = [*history.of(CartConverted), *history.of(CartClosed)]
    if any(one.sequence > offer.sequence and one.event_time < at for one in ends if one is not end):
        return None
    credited = [one.event for one in history.of(CartRecovered)]
    if any(offer.event.offer_id == one.offer_id or order.order_id == one.order_id for one in credited):
        return None
    return CartRecovered(
        cart_id=history.key,
        visitor_id=order.visitor_id or offer.event.visitor_id,
        order_id=order.order_id,
        offer_id=offer.event.offer_id,
        value=order.total,
    )
