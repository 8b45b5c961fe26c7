"""Takes what the shop's warehouse and its carriers report of parcels, which only its own servers may send."""

from collections.abc import AsyncIterator

from mesh import Service
from mesh.accept import SERVER, Sent
from mesh.events.shipment import ShipmentCreated, ShipmentDelivered, ShipmentDispatched
from mesh.publish import Change

service = Service("shipping", publishes=(ShipmentCreated, ShipmentDispatched, ShipmentDelivered))


@service.accepts(ShipmentCreated, ShipmentDispatched, ShipmentDelivered, by=(SERVER,), whole=True)
async def store_report(sent: Sent[ShipmentCreated | ShipmentDispatched | ShipmentDelivered]) -> AsyncIterator[Change]:
    """What is reported of a parcel is stored as it was sent."""
    yield sent.draft
