"""Frame: what all pages share: language, currency, addresses of the same page elsewhere, and the script's tag."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from babel.numbers import format_currency
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response

from mesh.web.static_files import REVALIDATE, file_response, static_file
from services.demo.storefront.addresses import AddressSettings, parse
from services.demo.storefront.catalogue import CATEGORIES, CURRENCIES, LANGUAGES, Product
from services.demo.storefront.catalogue_file import catalogue_address, units
from services.demo.storefront.files import static
from services.demo.storefront.texts import NAMES, preferred, words

HERE = Path(__file__).parent
REMEMBERED = 180 * 24 * 3600
"""Seconds for which a browser keeps the currency that was chosen."""


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """The same page in another language, currency or region."""

    name: str
    code: str
    url: str
    here: bool


class Frame:
    """The pages of one region: its place among the regions, and how each page is answered."""

    def __init__(self, region: str, addresses: AddressSettings) -> None:
        self.region = region
        self.shops = parse(addresses.urls_storefront)
        self.gateway = addresses.url_gateway.rstrip("/")
        self.gateways = parse(addresses.urls_gateway)
        self.key = addresses.write_key
        self.push_key = addresses.push_public_key if self.gateway else ""
        board = f"{addresses.url_console.rstrip('/')}/board"
        self.nearby = {name: url for name, url in (("inbox", addresses.url_inbox), ("board", board)) if _is_page(url)}

    def sources(self) -> tuple[str, ...]:
        """The origins that the script comes from and speaks to, each once."""
        found = [self.gateway, *self.gateways.values()]
        return tuple(dict.fromkeys(f"{at.scheme}://{at.netloc}" for at in map(urlsplit, found) if at.netloc))

    def language(self, request: Request[Any, Any, Any]) -> str:
        """The address's language, else the one that the browser likes best."""
        language = request.url.path[1:3]
        if language in LANGUAGES and request.url.path[3:4] in ("", "/"):
            return language
        return preferred(request.headers.get("accept-language", ""))

    def show(
        self,
        request: Request[Any, Any, Any],
        page: str,
        *,
        path: str | None = None,
        query: Mapping[str, str] | None = None,
        status: int = 200,
        **values: Any,
    ) -> Response[bytes]:
        """A page. `path` is its address behind the language; `query` what of its question other languages keep."""
        language = self.language(request)
        chosen = _wanted(request)
        currency = chosen or _remembered(request) or CURRENCIES[language]
        within = request.url.path[3:] or "/" if path is None else path
        asked = f"?{urlencode(query)}" if query else ""
        context = {
            "page": page,
            "offered": None,
            "lang": language,
            "w": words(language),
            "currency": currency,
            "at": static().urls,
            "catalogue": catalogue_address(language, currency),
            "languages": _languages(language, within, asked),
            "currencies": _currencies(currency, language, within, query or {}),
            "regions": self._regions(language, within, asked),
            "tag": self._tag(),
            "push_key": self.push_key,
            "push_script": f"{self.gateway}/v1/cartmesh-push.js",
            "nearby": self.nearby,
            "categories": CATEGORIES,
            "price": lambda product: priced(product, currency, language),
            "amount": lambda minor: money_words(minor, currency, language),
        }
        text = _templates().get_template(f"{page}.html.j2").render({**context, **values})
        page_file = static_file(text, "text/html")
        found = file_response(request.headers, page_file, REVALIDATE, vary="Accept-Language, Cookie", status=status)
        if chosen:
            found.set_cookie("currency", chosen, max_age=REMEMBERED, samesite="lax")
        return found

    def _regions(self, language: str, within: str, asked: str) -> list[Elsewhere]:
        texts = words(language)
        return [
            Elsewhere(
                name=texts.get(f"region_{region}", region.upper()),
                code=region,
                url=f"{shop}/{language}{quote(within)}{asked}",
                here=region == self.region,
            )
            for region, shop in self.shops.items()
        ]

    def _tag(self) -> dict[str, str] | None:
        """The attributes of the script's tag; None where there is no gateway."""
        if not self.gateway:
            return None
        regions = self.gateways or {self.region: self.gateway}
        return {
            "src": f"{self.gateway}/v1/cartmesh.js",
            "data-key": self.key,
            "data-region": self.region,
            "data-regions": " ".join(f"{region}={gateway}" for region, gateway in regions.items()),
            "data-consent": "required",
            "data-respect": "signals",
        }


def priced(product: Product, currency: str, language: str) -> str:
    """What a piece costs, as people of that language write it."""
    return money_words(product.price[currency], currency, language)  # type: ignore[index]


def money_words(minor: int, currency: str, language: str) -> str:
    """An amount in minor units as people of that language write it."""
    return format_currency(minor / units(currency), currency, locale=language)


def _is_page(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _wanted(request: Request[Any, Any, Any]) -> str | None:
    """The currency that was just chosen."""
    chosen = request.query_params.get("currency")
    return chosen if chosen in CURRENCIES.values() else None


def _remembered(request: Request[Any, Any, Any]) -> str | None:
    chosen = request.cookies.get("currency")
    return chosen if chosen in CURRENCIES.values() else None


def _languages(language: str, within: str, asked: str) -> list[Elsewhere]:
    return [
        Elsewhere(name=NAMES[other], code=other, url=f"/{other}{quote(within)}{asked}", here=other == language)
        for other in LANGUAGES
    ]


def _currencies(currency: str, language: str, within: str, query: Mapping[str, str]) -> list[Elsewhere]:
    return [
        Elsewhere(
            name=other,
            code=other,
            url=f"/{language}{quote(within)}?{urlencode({**query, 'currency': other})}",
            here=other == currency,
        )
        for other in CURRENCIES.values()
    ]


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
