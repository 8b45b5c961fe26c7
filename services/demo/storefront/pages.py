"""Pages: every address of the shop that people see."""

from collections.abc import Iterable
from typing import Any

import msgspec
from babel import Locale
from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from mesh import Mesh, Money
from services.demo.storefront.cart_link import find_offered, restore
from services.demo.storefront.catalogue import CATEGORIES, LANGUAGES, find, in_category, variants
from services.demo.storefront.frame import Frame, money_words
from services.demo.storefront.related import favourites, related_to
from services.demo.storefront.saved_carts import Change, SavedCarts
from services.demo.storefront.search import asked, search_products
from services.demo.storefront.stock_left import FEW, pieces_left
from services.demo.storefront.texts import preferred, words

PLAIN = ("account",)
"""Pages on which the browser alone has something to show."""
COUNTRIES = ("AT", "AU", "CA", "CH", "DE", "FR", "GB", "JP", "NL", "SG", "US")
"""Where the shop would ship to (ISO 3166)."""
Asked = Request[Any, Any, Any]


def serve_pages(mesh: Mesh, frame: Frame, carts: SavedCarts | None = None) -> list[HTTPRouteHandler]:
    """The routes of all pages."""
    plain = [_plain(frame, page) for page in PLAIN]
    products = [_category(frame), _product(mesh, frame), _search(frame)]
    return [_entrance(), _home(mesh, frame), *products, *_carts(mesh, frame, carts), _checkout(frame), *plain]


def _in_each(path: str) -> list[str]:
    return [f"/{language}{path}" for language in LANGUAGES]


def _entrance() -> HTTPRouteHandler:
    @get("/")
    async def choose_language(request: Asked) -> Redirect:
        language = preferred(request.headers.get("accept-language", ""))
        headers = {"Vary": "Accept-Language", "Cache-Control": "no-cache"}
        query = f"?{request.url.query}" if request.url.query else ""  # of a mail's link
        return Redirect(f"/{language}/{query}", status_code=302, headers=headers)

    return choose_language


def _home(mesh: Mesh, frame: Frame) -> HTTPRouteHandler:
    @get(_in_each("/"))
    async def show_home(request: Asked) -> Response[bytes]:
        offered = await _offered(mesh, request)
        return frame.show(request, "home", path="/", season=favourites(), picks=related_to(None), offered=offered)

    return show_home


async def _offered(mesh: Mesh, request: Asked) -> dict[str, Any] | None:
    """The coupon that a mail's link brought, which the page keeps for the cart."""
    asked_for = {name: request.query_params.get(name) or "" for name in ("about", "offer", "coupon")}
    found = await find_offered(mesh, asked_for["about"], offer_id=asked_for["offer"], coupon=asked_for["coupon"])
    return msgspec.structs.asdict(found) if found else None


def _category(frame: Frame) -> HTTPRouteHandler:
    @get(_in_each("/categories/{category:str}"))
    async def show_category(request: Asked, category: FromPath[str]) -> Response[bytes]:
        if category not in CATEGORIES:
            raise NotFoundException
        return frame.show(request, "category", category=category, products=in_category(category))

    return show_category


def _product(mesh: Mesh, frame: Frame) -> HTTPRouteHandler:
    @get(_in_each("/products/{product_id:str}"))
    async def show_product(request: Asked, product_id: FromPath[str]) -> Response[bytes]:
        product = find(product_id)
        if product is None:
            raise NotFoundException
        left = await pieces_left(mesh, product_id)
        shown = {"product": product, "variants": variants(product), "picks": related_to(product)}
        shown["offered"] = await _offered(mesh, request)
        return frame.show(request, "product", left=left, few=FEW, **shown)

    return show_product


def _search(frame: Frame) -> HTTPRouteHandler:
    @get(_in_each("/search"))
    async def show_results(request: Asked) -> Response[bytes]:
        query = asked(request.query_params.get("q") or "")
        kept = {"q": query} if query else None
        return frame.show(
            request, "search", query=kept, asked=query, products=search_products(query), instead=favourites()
        )

    return show_results


def _carts(mesh: Mesh, frame: Frame, carts: SavedCarts | None) -> list[HTTPRouteHandler]:
    @get(_in_each("/cart"))
    async def show_cart(request: Asked) -> Response[bytes]:
        return frame.show(request, "cart", restored=None, lost=False, changed=(), picks=related_to(None))

    @get("/cart/{cart_id:str}")
    async def restore_cart(request: Asked, cart_id: FromPath[str]) -> Response[bytes]:
        query, picks = request.query_params, related_to(None)
        saved = await carts.find(query["saved"]) if carts and query.get("saved") else None
        if saved is not None:
            found, changes = saved.restored(), saved.changes
        else:
            asked = {"offer_id": query.get("offer") or "", "coupon": query.get("coupon") or ""}
            found, changes = await restore(mesh, cart_id, **asked), ()
        restored = msgspec.json.encode(found).decode() if found else None
        changed = _changed(frame.language(request), changes)
        lost = found is None
        return frame.show(request, "cart", path="/cart", restored=restored, lost=lost, changed=changed, picks=picks)

    return [show_cart, restore_cart]


def _changed(language: str, changes: Iterable[Change]) -> list[str]:
    """In the shopper's words what is not as it was in the mail; nothing of what this shop does not sell."""
    found = ((one, find(one.product_id)) for one in changes)
    return [_words_of(one, product.name[language], language) for one, product in found if product]


def _words_of(change: Change, name: str, language: str) -> str:
    prices = {"before": _money(change.price_before, language), "now": _money(change.price, language)}
    return words(language)[f"changed_{change.kind}"].format(name=name, **prices)


def _money(price: Money | None, language: str) -> str:
    return money_words(price.amount, price.currency, language) if price else ""


def _checkout(frame: Frame) -> HTTPRouteHandler:
    @get(_in_each("/checkout"))
    async def show_checkout(request: Asked) -> Response[bytes]:
        territories = Locale(frame.language(request)).territories
        countries = sorted((territories[code], code) for code in COUNTRIES)
        return frame.show(request, "checkout", countries=countries)

    return show_checkout


def _plain(frame: Frame, page: str) -> HTTPRouteHandler:
    @get(_in_each(f"/{page}"))
    async def show_page(request: Asked) -> Response[bytes]:
        return frame.show(request, page)

    return show_page
