"""Unsubscribes shoppers who follow the link in a mail, or whose mail program does it with one click (RFC 8058)."""

from typing import Any

from mesh import Mesh, Service
from mesh.events.customer import CustomerUnsubscribed
from mesh.settings import read
from notifications.unsubscribe_token import LinkSettings

service = Service("links", publishes=(CustomerUnsubscribed,), port=8090)


@service.http
def build_pages(mesh: Mesh) -> Any:
    """The pages behind the links in mails."""
    from notifications.unsubscribe_page import app  # noqa: PLC0415  only who serves loads Litestar

    return app(mesh, read(LinkSettings))
