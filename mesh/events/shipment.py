"""Parcels: asked for by the checkout, and what becomes of them.

`tracking` is the carrier's number of a parcel, where it has one: it tells several parcels of an order apart.
"""

from mesh.event import Event, event
from mesh.events.order import OrderedPieces


@event(key="order_id")
class ShipmentRequested(Event):
    """A confirmed and paid order is to be sent: from now on it is returned, and no longer cancelled.

    `address_id` names the order's `order.delivery_addressed`.
    """

    order_id: str
    lines: tuple[OrderedPieces, ...]
    address_id: str | None = None


@event(key="order_id")
class ShipmentCreated(Event):
    """A parcel was made ready for a carrier."""

    order_id: str
    carrier: str | None = None
    tracking: str | None = None


@event(key="order_id")
class ShipmentDispatched(Event):
    """The carrier took the parcel. `tracking_url` is the carrier's page about it."""

    order_id: str
    carrier: str | None = None
    tracking: str | None = None
    tracking_url: str | None = None


@event(key="order_id")
class ShipmentDelivered(Event):
    """The parcel arrived."""

    order_id: str
    carrier: str | None = None
    tracking: str | None = None


@event(key="order_id")
class ShipmentReturned(Event):
    """The parcel came back. `lines` are the pieces in it; none: all that is left of the order."""

    order_id: str
    carrier: str | None = None
    tracking: str | None = None
    lines: tuple[OrderedPieces, ...] = ()
    reason: str | None = None
