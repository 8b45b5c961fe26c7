"""The links in messages: unsubscribes, also with one click (RFC 8058), takes confirmations, and gives carts back."""

from typing import Any

from mesh import Mesh, Service
from mesh.events.customer import ConsentConfirmed, CustomerUnsubscribed
from mesh.profiles import PROFILES
from notifications.short_links import SHORT_LINKS

service = Service(
    "links",
    publishes=(CustomerUnsubscribed, ConsentConfirmed),
    views=(PROFILES, SHORT_LINKS),
    secrets=("secret",),
    port=8090,
)


@service.http
def build_pages(mesh: Mesh) -> Any:
    """The pages behind the links in mails."""
    from notifications.link_app import app  # noqa: PLC0415  only who serves loads Litestar

    return app(mesh)
