"""The catalogue in one language and currency, as a file for the scripts that write carts and picks."""

from functools import cache

import msgspec
from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from mesh.web.static_files import FOREVER, StaticFile, file_response, static_file
from services.demo.storefront.catalogue import CURRENCIES, LANGUAGES, products

DIGITS = {"JPY": 0}
"""Digits behind the point, where they are not two (ISO 4217)."""


def units(currency: str) -> int:
    """How many minor units make one of the currency."""
    return 10 ** DIGITS.get(currency, 2)


def catalogue_address(language: str, currency: str) -> str:
    """Where that file is; the address changes with what is in it."""
    return f"/catalogue/{language}/{currency}/{_file(language, currency).digest}"


def serve_catalogue() -> HTTPRouteHandler:
    """The route `/catalogue/...`."""

    @get("/catalogue/{language:str}/{currency:str}/{edition:str}")
    async def serve_shown(
        request: Request, language: FromPath[str], currency: FromPath[str], edition: FromPath[str]
    ) -> Response[bytes]:
        if language in LANGUAGES and currency in CURRENCIES.values():
            file = _file(language, currency)
            if edition == file.digest:
                return file_response(request.headers, file, FOREVER)
        raise NotFoundException("this list is no longer served; load the page again")

    return serve_shown


@cache
def _file(language: str, currency: str) -> StaticFile:
    listed = {
        product.product_id: {
            "name": product.name[language],  # type: ignore[index]
            "price": product.price[currency],  # type: ignore[index]
            "category": product.category,
            "brand": product.brand,
        }
        for product in products()
    }
    shown = {"currency": currency, "units": units(currency), "products": listed}
    return static_file(msgspec.json.encode(shown), "application/json")
