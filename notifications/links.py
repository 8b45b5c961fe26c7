"""The links in messages: unsubscribes (RFC 8058), confirmations, answers like STOP, carts, who opens mails."""

from collections.abc import AsyncIterator
from typing import Any

from mesh import Mesh, Received, Service
from mesh.channels import SMS
from mesh.events.address import AddressSuppressed
from mesh.events.customer import ConsentConfirmed, CustomerUnsubscribed
from mesh.events.offer import OfferOpened
from mesh.profiles import PROFILES, read_profile
from mesh.publish import Change
from notifications.journeys.kind import JOURNEYS
from notifications.mail_reports.number_report import OWNER
from notifications.short_links import SHORT_LINKS
from notifications.suppressions import STOPPED

ANSWER = "answer {} to a text message"

service = Service(
    "links",
    publishes=(CustomerUnsubscribed, ConsentConfirmed, OfferOpened),
    views=(PROFILES, JOURNEYS.bucket, SHORT_LINKS),
    secrets=("secret",),
    port=8090,
)


@service.on(AddressSuppressed, reach="mesh")
async def take_answer(received: Received[AddressSuppressed], mesh: Mesh) -> AsyncIterator[Change]:
    """Who answered STOP to a text message has unsubscribed, on all of their devices; START allows messages again."""
    said = received.event
    if said.reason != STOPPED or said.by != OWNER:
        return
    for visitor in (await read_profile(mesh, names=(said.address,))).visitors:
        if not (await mesh.history(visitor, "customer")).events:
            continue  # known in another region, which hears of it as well
        if said.suppressed:
            yield CustomerUnsubscribed(visitor_id=visitor, channel=SMS.name, offer_id="", where=ANSWER.format("STOP"))
        else:
            yield ConsentConfirmed(
                visitor_id=visitor, channel=SMS.name, address=said.address, where=ANSWER.format("START")
            )


@service.http
def build_pages(mesh: Mesh) -> Any:
    """The pages behind the links in mails."""
    from notifications.link_app import app  # noqa: PLC0415  only who serves loads Litestar

    return app(mesh)
