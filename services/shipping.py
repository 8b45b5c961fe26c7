"""Takes what the shop's warehouse and its carriers report of parcels, each report once and in any order."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from mesh import Mesh, Service
from mesh.accept import SERVER, SIGNED, Sent
from mesh.errors import InvalidField
from mesh.events.shipment import (
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentRequested,
    ShipmentReturned,
)
from mesh.publish import Change

Report = ShipmentCreated | ShipmentDispatched | ShipmentDelivered | ShipmentReturned
REPORTS = (ShipmentCreated, ShipmentDispatched, ShipmentDelivered, ShipmentReturned)

service = Service("shipping", publishes=REPORTS)


def check(report: Report) -> Report:
    """The report itself. Raises InvalidField for a link that no mail may show, and for the same product twice."""
    if isinstance(report, ShipmentDispatched) and report.tracking_url is not None and not _is_link(report.tracking_url):
        raise InvalidField("$.tracking_url", "the address of a page: https://...")
    if isinstance(report, ShipmentReturned):
        products = [line.product_id for line in report.lines]
        if len(set(products)) < len(products):
            raise InvalidField("$.lines", "each product once")
    return report


@service.accepts(*REPORTS, by=(SERVER, SIGNED), whole=True, check=check)
async def store_report(sent: Sent[Report], mesh: Mesh) -> AsyncIterator[Change]:
    """What is reported of a parcel is stored once, by whomever and however often it is reported.

    Parcels are told apart by their tracking numbers; whoever knows none speaks of the one that is known. A carrier
    reports about orders that were handed to shipping in this region, and about no others.
    """
    report, kind = sent.event, type(sent.event)
    if sent.by == SIGNED and await mesh.last(ShipmentRequested, report.order_id) is None:
        raise InvalidField("$.order_id", f"no such order was handed to shipping in {mesh.region}")
    history = await mesh.history(report.order_id, kind)
    known = [one.event.tracking for one in history.of(kind)]
    if report.tracking in known or (known and report.tracking is None):
        return
    yield sent.draft
    for unchanged in history.unchanged(kind):
        yield unchanged


def _is_link(text: str) -> bool:
    """Whether it is the whole address of a page, which a reader of a mail can open."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.hostname) and not set(text) & set(" \"'<>\\")
