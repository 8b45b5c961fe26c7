"""Link app: the HTTP interface behind the links in mails."""

from litestar import Litestar

from mesh import Mesh
from mesh.settings import read
from mesh.web.application import shared_options
from notifications.confirm_page import confirming
from notifications.confirmation_token import ConfirmationSettings
from notifications.open_pixel import OpenSettings, open_pixel
from notifications.pages import HEADERS
from notifications.preference_page import preferring
from notifications.saved_cart_api import saved_carts
from notifications.short_link_page import leading_on
from notifications.unsubscribe_page import unsubscribing
from notifications.unsubscribe_token import LinkSettings


def app(mesh: Mesh) -> Litestar:
    """The pages that unsubscribe, confirm an address and show what a shopper allows, carts of mails, and opens."""
    links = read(LinkSettings)
    routes = [
        *unsubscribing(mesh, links),
        *confirming(mesh, links, read(ConfirmationSettings)),
        *preferring(mesh, links),
        *saved_carts(mesh, links),
        *leading_on(mesh),
        *open_pixel(mesh, links, read(OpenSettings)),
    ]
    policy = HEADERS["Content-Security-Policy"]
    return Litestar(routes, request_max_body_size=64 * 1024, **shared_options(mesh, policy=policy))
