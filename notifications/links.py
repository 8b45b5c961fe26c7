"""The links in mails: unsubscribes shoppers, also with one click (RFC 8058), and takes their confirmations."""

from typing import Any

from mesh import Mesh, Service
from mesh.events.customer import ConsentConfirmed, CustomerUnsubscribed

service = Service("links", publishes=(CustomerUnsubscribed, ConsentConfirmed), secrets=("secret",), port=8090)


@service.http
def build_pages(mesh: Mesh) -> Any:
    """The pages behind the links in mails."""
    from notifications.link_app import app  # noqa: PLC0415  only who serves loads Litestar

    return app(mesh)
