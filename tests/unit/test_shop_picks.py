"""Live picks: what an open page of the demo shop is told of a visitor's recommendations."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from mesh.envelope import Received
from mesh.events.user import Recommendation, UserScored
from services.demo.storefront.catalogue import find
from services.demo.storefront.picks import Picks
from services.demo.storefront.reasons import reason

NOW = datetime(2026, 3, 2, tzinfo=UTC)
WHISK = Recommendation(
    product_id="whisk",
    reason="viewed together with Matcha Asahi, 30 g by 12 shoppers",
    kind="together",
    with_product="Matcha Asahi, 30 g",
    shoppers=12,
)


def scored(*recommended, visitor="v1", sequence=1):
    event = UserScored(
        visitor_id=visitor, propensity=0.5, model_version="m", reasons=(), recommended=recommended, cause="e"
    )
    return Received(event=event, id=f"e{sequence}", time=NOW, stored=NOW, sequence=sequence, region="us", subject="s")


def items(told: bytes):
    """What a page was told: product -> reason."""
    _, name, data = told.decode().rstrip("\n").split("\n")
    assert name == "event: picks"
    return {one["product_id"]: one["reason"] for one in msgspec.json.decode(data.removeprefix("data: "))["items"]}


@pytest.fixture
async def open_page():
    """Open a page's stream and read beyond its greeting."""
    streams = []

    async def opened(picks, visitor="v1", language="en", **more):
        stream = picks.stream(visitor, language, **more)
        streams.append(stream)
        assert await anext(stream) == b"retry: 2000\n\n"
        return stream

    yield opened
    for stream in streams:
        await stream.aclose()


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "12 shoppers viewed it together with Matcha Asahi, 30 g"),
        ("de", "12 Personen haben es zusammen mit Matcha Asahi, 30 g angesehen"),
        ("ja", "12人が「抹茶「あさひ」30g」と一緒に見ています"),
        ("fr", "12 shoppers viewed it together with Matcha Asahi, 30 g"),
    ],
)
def test_a_reason_speaks_the_language_of_the_page(language, words):
    """Also the product that it names, whatever language the region's catalogue was told in."""
    assert reason(WHISK, language) == words


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            {"kind": "together", "with_product": "Unheard of", "shoppers": 1},
            "a shopper viewed it together with Unheard of",
        ),
        ({"kind": "together", "shoppers": 3}, "often viewed next"),
        ({"kind": "next"}, "often viewed next"),
        ({"kind": "next", "with_product": "Fine strainer"}, "often viewed after Fine strainer"),
        ({"kind": "seen"}, "you looked at it before"),
        ({"kind": "category"}, "popular of its kind"),
        ({"kind": "popular"}, "popular in the shop"),
        ({}, "as scoring said it"),
    ],
)
def test_every_kind_of_reason_has_words(told, words):
    """Where the reason has no structure, it stays as scoring said it."""
    assert reason(Recommendation(product_id="whisk", reason="as scoring said it", **told), "en") == words


async def test_a_page_is_told_the_newest_and_then_each_change(open_page):
    """Not the same again, nothing older, and nothing that the shop has not."""
    picks = Picks()
    tea = Recommendation(product_id="genmaicha", reason="r", kind="popular")
    picks.hear(scored(WHISK, sequence=3))

    page = await open_page(picks)
    first = items(await anext(page))
    picks.hear(scored(tea, sequence=2))
    picks.hear(scored(WHISK, sequence=4))
    picks.hear(scored(Recommendation(product_id="sku-of-another-shop", reason="r"), tea, sequence=5))
    second = items(await anext(page))

    assert first == {"whisk": "12 shoppers viewed it together with Matcha Asahi, 30 g"}
    assert second == {"genmaicha": "popular in the shop"}
    assert find("sku-of-another-shop") is None


async def test_what_was_looked_at_before_comes_last(open_page):
    """Otherwise in the order of scoring."""
    picks = Picks()
    kinds = (("scoop", "seen"), ("genmaicha", "next"), ("hojicha", "seen"), ("tetsubin", "popular"))
    picks.hear(scored(*(Recommendation(product_id=product, reason="r", kind=kind) for product, kind in kinds)))

    page = await open_page(picks)

    assert list(items(await anext(page))) == ["genmaicha", "tetsubin", "scoop", "hojicha"]


async def test_a_silent_page_hears_a_comment_and_ends_with_the_service(open_page):
    """So that nobody takes the line for dead; when the process drains, browsers go to another."""
    picks = Picks()
    page = await open_page(picks, heartbeat=0.01)

    assert await anext(page) == b": still here\n\n"
    rest = asyncio.create_task(anext(page, None))
    await asyncio.sleep(0)
    picks.close()

    assert await rest is None
    assert (picks.pages.open, picks.pages_of("v1")) == (0, 0)


async def test_visitors_are_told_apart_and_the_longest_silent_is_forgotten(open_page):
    """Memory is bounded: of two visitors only one is kept here, and each page hears of its own."""
    picks = Picks(most=1)
    picks.hear(scored(WHISK, visitor="v1", sequence=1))
    picks.hear(scored(Recommendation(product_id="scoop", reason="r", kind="seen"), visitor="v2", sequence=2))

    forgotten, page = await open_page(picks, "v1", heartbeat=0.01), await open_page(picks, "v2")

    assert await anext(forgotten) == b": still here\n\n"
    assert items(await anext(page)) == {"scoop": "you looked at it before"}
    assert (picks.pages.open, picks.pages_of("v1")) == (2, 1)
