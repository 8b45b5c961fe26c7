"""Parcels: asked for by the checkout, and what becomes of them."""

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
    """A parcel was made ready for a carrier. `tracking` is the carrier's number, where it has one."""

    order_id: str
    carrier: str | None = None
    tracking: str | None = None


@event(key="order_id")
class ShipmentDispatched(Event):
    """The carrier took the parcel."""

    order_id: str
    carrier: str | None = None
    tracking: str | None = None


@event(key="order_id")
class ShipmentDelivered(Event):
    """The parcel arrived."""

    order_id: str
