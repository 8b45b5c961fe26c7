"""Live picks: what an open page of the demo shop receives of a visitor's recommendations."""

import asyncio

import msgspec
import pytest

from mesh.errors import Unavailable
from mesh.events.user import Recommendation, Recommendations
from services.demo.storefront.catalogue import find
from services.demo.storefront.picks import Picks
from services.demo.storefront.reasons import reason

WHISK = Recommendation(
    product_id="whisk",
    reason="viewed together with Matcha Asahi, 30 g by 12 shoppers",
    kind="together",
    with_product="Matcha Asahi, 30 g",
    shoppers=12,
)


class Scoring:
    """Answers what the test lets it, once the test lets it."""

    def __init__(self):
        self.products, self.asked = {}, []
        self.answers = asyncio.Event()
        self.answers.set()
        self.waiting, self.thrice = asyncio.Event(), asyncio.Event()

    async def ask(self, request):
        self.asked.append(request)
        products = self.products.get(request.visitor_id)
        self.waiting.set()
        if len(self.asked) == 3:
            self.thrice.set()
        await self.answers.wait()
        if products is None:
            raise Unavailable("nobody answers")
        return Recommendations(products=products)


@pytest.fixture
def scoring():
    return Scoring()


@pytest.fixture
def picks(scoring):
    return Picks(scoring.ask, pause=0.001)


@pytest.fixture
def say(scoring, picks):
    """Let scoring say something else of a visitor, and the shop ask."""

    async def said(*products, visitor="v1"):
        scoring.products[visitor] = products
        await picks.refresh(visitor)

    return said


def items(message: bytes):
    """What a page received: product -> reason."""
    _, name, data = message.decode().rstrip("\n").split("\n")
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
    """Also the product that it names, whatever language the region's catalogue was sent in."""
    assert reason(WHISK, language) == words


@pytest.mark.parametrize(
    ("fields", "words"),
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
def test_every_kind_of_reason_has_words(fields, words):
    """Where the reason has no structure, it stays as scoring said it."""
    assert reason(Recommendation(product_id="whisk", reason="as scoring said it", **fields), "en") == words


async def test_a_page_receives_the_newest_and_then_each_change(open_page, picks, say):
    """Not the same again, and nothing that the shop has not."""
    tea = Recommendation(product_id="genmaicha", reason="r", kind="popular")
    await say(WHISK)

    page = await open_page(picks)
    first = items(await anext(page))
    await say(WHISK)
    await say(Recommendation(product_id="sku-of-another-shop", reason="r"), tea)
    second = items(await anext(page))

    assert first == {"whisk": "12 shoppers viewed it together with Matcha Asahi, 30 g"}
    assert second == {"genmaicha": "popular in the shop"}
    assert find("sku-of-another-shop") is None


async def test_many_scores_of_one_visitor_are_one_question_at_a_time(picks, scoring):
    """What is scored while an answer is awaited is asked for once more, however much that was, and never lost."""
    scoring.products["v1"] = (WHISK,)
    scoring.answers.clear()
    asked = picks.refresh("v1", after="e1")
    await scoring.waiting.wait()
    for event in ("e2", "e3", "e4"):
        picks.refresh("v1", after=event)

    scoring.answers.set()
    await asked

    assert [request.after for request in scoring.asked] == ["e1", "e4"]


async def test_without_an_answer_an_open_page_has_it_asked_again(open_page, picks, scoring):
    """Scoring that is away changes nothing on the page, and what it answers once it is back is sent."""
    page = await open_page(picks)
    await scoring.thrice.wait()
    scoring.products["v1"] = (WHISK,)

    assert items(await anext(page)).keys() == {"whisk"}
    await picks.refresh("nobody has a page open")
    assert scoring.asked[-1].visitor_id == "nobody has a page open"


async def test_with_nothing_to_show_an_open_page_has_it_asked_again(open_page, picks, scoring):
    """A page that was opened before anything was learnt is not left without for good."""
    scoring.products["v1"] = ()
    page = await open_page(picks)
    await scoring.thrice.wait()
    scoring.products["v1"] = (WHISK,)

    assert items(await anext(page)).keys() == {"whisk"}


async def test_a_click_is_asked_for_at_once_also_while_there_is_nothing_to_show(open_page, scoring):
    """The pause is for pages on which nothing happens."""
    picks, scoring.products["v1"] = Picks(scoring.ask, pause=1000), ()
    page = await open_page(picks, heartbeat=0.01)
    await anext(page)
    scoring.products["v1"] = (WHISK,)

    picks.refresh("v1", after="click")

    while (message := await anext(page)).startswith(b":"):
        pass
    assert items(message).keys() == {"whisk"}
    assert scoring.asked[-1].after == "click"


async def test_what_was_looked_at_before_comes_last(open_page, picks, say):
    """Otherwise in the order of scoring."""
    kinds = (("scoop", "seen"), ("genmaicha", "next"), ("hojicha", "seen"), ("tetsubin", "popular"))
    await say(*(Recommendation(product_id=product, reason="r", kind=kind) for product, kind in kinds))

    page = await open_page(picks)

    assert list(items(await anext(page))) == ["genmaicha", "tetsubin", "scoop", "hojicha"]


async def test_a_silent_page_receives_a_comment_and_ends_with_the_service(open_page, picks):
    """So that nobody takes the line for dead; when the process drains, browsers go to another."""
    page = await open_page(picks, heartbeat=0.01)

    assert await anext(page) == b": still here\n\n"
    rest = asyncio.create_task(anext(page, None))
    await asyncio.sleep(0)
    picks.close()

    assert await rest is None
    assert (picks.pages.open, picks.pages_of("v1")) == (0, 0)


async def test_visitors_are_distinguished_and_forgotten_ones_are_requested_again(open_page, scoring):
    """Memory is bounded: of two visitors only one is kept here, and each page receives its own."""
    picks = Picks(scoring.ask, most=1)
    scoring.products = {"v1": (WHISK,), "v2": (Recommendation(product_id="scoop", reason="r", kind="seen"),)}
    for visitor in ("v1", "v2"):
        await picks.refresh(visitor)
    scoring.answers.clear()

    forgotten, kept = await open_page(picks, "v1", heartbeat=0.01), await open_page(picks, "v2")

    assert await anext(forgotten) == b": still here\n\n"
    assert items(await anext(kept)) == {"scoop": "you looked at it before"}
    scoring.answers.set()
    message = await anext(forgotten)
    while message == b": still here\n\n":
        message = await anext(forgotten)
    assert items(message).keys() == {"whisk"}
    assert (picks.pages.open, picks.pages_of("v1")) == (2, 1)
