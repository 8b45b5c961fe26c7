"""The shop's HTTP interface: its pages, its pictures, and what further routes it is given."""

from collections.abc import Sequence
from typing import Any

from litestar import Litestar, Request, Response
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler

from mesh import Mesh, settings
from mesh.web.application import shared_options
from mesh.web.headers import STRICT
from services.demo.storefront.addresses import AddressSettings
from services.demo.storefront.catalogue_file import serve_catalogue
from services.demo.storefront.checkout import serve_checkout
from services.demo.storefront.files import serve_files
from services.demo.storefront.frame import Frame
from services.demo.storefront.order_client import OrderClient
from services.demo.storefront.order_page import OrderPages, serve_order
from services.demo.storefront.pages import serve_pages
from services.demo.storefront.saved_carts import SavedCarts


def build(
    mesh: Mesh, more: Sequence[Any] = (), orders: OrderClient | None = None, carts: SavedCarts | None = None
) -> Litestar:
    """The app. `more` are further route handlers, such as the live picks; without `orders` nothing can be ordered.

    Without `carts` the links of mails show a cart as it was left.
    """
    frame = Frame(mesh.region, settings.read(AddressSettings))
    shared = shared_options(mesh, policy=_policy(frame.sources()))

    def show_missing(request: Request[Any, Any, Any], _: NotFoundException) -> Response[bytes]:
        shown = frame.show(request, "missing", path="/", status=404)
        for header in shared["response_headers"]:
            shown.headers[header.name] = header.value
        return shown

    return Litestar(
        [
            *serve_pages(mesh, frame, carts),
            *serve_files(frame.gateway),
            serve_catalogue(),
            *_ordering(mesh, frame, orders),
            *more,
        ],
        **{**shared, "exception_handlers": {**shared["exception_handlers"], NotFoundException: show_missing}},
    )


def _ordering(mesh: Mesh, frame: Frame, client: OrderClient | None) -> list[HTTPRouteHandler]:
    if client is None:
        return []
    pages = OrderPages(client)
    mesh.on_drain.append(pages.close)
    return [serve_checkout(mesh, client), *serve_order(frame, pages)]


def _policy(gateways: Sequence[str]) -> str:
    """The strict policy, with the gateways as a source of the script and to be spoken to."""
    more = "".join(f" {gateway}" for gateway in gateways)
    own = "script-src 'self'", "connect-src 'self'"
    policy = STRICT
    for part in own:
        policy = policy.replace(part, part + more)
    return policy
