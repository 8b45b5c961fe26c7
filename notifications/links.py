"""The links in mails: unsubscribes (RFC 8058), takes confirmations, gives carts back, counts who opens mails."""

from typing import Any

from mesh import Mesh, Service
from mesh.events.customer import ConsentConfirmed, CustomerUnsubscribed
from mesh.events.offer import OfferOpened
from mesh.profiles import PROFILES
from notifications.journeys.kind import JOURNEYS

service = Service(
    "links",
    publishes=(CustomerUnsubscribed, ConsentConfirmed, OfferOpened),
    views=(PROFILES, JOURNEYS.bucket),
    secrets=("secret",),
    port=8090,
)


@service.http
def build_pages(mesh: Mesh) -> Any:
    """The pages behind the links in mails."""
    from notifications.link_app import app  # noqa: PLC0415  only who serves loads Litestar

    return app(mesh)
