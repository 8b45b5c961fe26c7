"""What was shown and clicked is learnt from, apart from where it was shown, and reported."""

import io
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mesh import Mesh, Money
from mesh.events.cart import CartLine
from mesh.events.offer import Assignment, OfferClicked, OfferDecided, OfferSent, OfferShown
from mesh.events.order import OrderConfirmed, OrderPlaced
from mesh.events.profile import ProfileErased
from mesh.events.recommendation import RecommendationClicked, RecommendationShown
from mesh.events.user import Recommendation
from mesh.publish import Draft
from ml.clickstream.impressions import MOST_OF_VISITOR, read_impressions
from ml.lifecycle.click_report import click_report, rate
from ml.lifecycle.tables import show_clicks
from ml.models.blend import WEIGHTS
from ml.models.click_model import ClickModel, Shown
from ml.training.product_appeal import learn_appeal
from ml.training.recommendation_weights import model_of, plain, training_rows

NOW = datetime.now(UTC) - timedelta(days=20)
PRODUCTS = [f"p{n}" for n in range(8)]
LOOKED = (0.6, 0.3, 0.15, 0.05)
"""How likely each of four positions is looked at."""


@pytest.fixture
def shop(regions):
    return Mesh(regions.broker("us"), "tests", others=())


def at(minute, happened):
    return Draft(event=happened, time=NOW + timedelta(minutes=minute))


def shown(list_id, *products, visitor="v1", place="cart", version="v7", first=1):
    return RecommendationShown(
        visitor_id=visitor, list_id=list_id, place=place, product_ids=products, model_version=version, first=first
    )


def clicked(list_id, product, position, visitor="v1", place="cart"):
    return RecommendationClicked(
        visitor_id=visitor, list_id=list_id, place=place, product_id=product, position=position
    )


def order(kind, order_id, product, **more):
    euro = Money(amount=100, currency="EUR")
    return kind(order_id=order_id, lines=(CartLine(product_id=product, quantity=1, price=euro),), total=euro, **more)


async def browse(shop, appeal, lists, *, best_first):
    """Visitors who look at lists from the top and click what attracts them; the best stands first, if so wished."""
    dice, told = np.random.default_rng(3), []
    for n in range(lists):
        offered = dice.permutation(len(PRODUCTS))[: len(LOOKED)].tolist()
        if best_first and dice.random() < 0.8:
            offered.sort(key=lambda product: product != 0)
        products = [PRODUCTS[product] for product in offered]
        told.append(at(n, shown(f"l{n}", *products, visitor=f"v{n}")))
        told += [
            at(n, clicked(f"l{n}", PRODUCTS[product], position, visitor=f"v{n}"))
            for position, (product, looked) in enumerate(zip(offered, LOOKED, strict=True), 1)
            if dice.random() < looked * appeal[product]
        ]
    for start in range(0, len(told), 500):
        await shop.publish(*told[start : start + 500])


def test_a_product_that_only_stood_first_is_not_taken_for_a_better_one():
    """Given alike products of which one mostly stands first, its click rate is highest, and its appeal the average."""
    dice = np.random.default_rng(1)
    rows = []
    for number in range(6000):
        others = dice.permutation([1, 2, 3])
        items = [0, *others] if dice.random() < 0.9 else [*others, 0]
        rows += [
            (spot, item, dice.random() < 0.4 * looked, number)
            for spot, (item, looked) in enumerate(zip(items, LOOKED, strict=True))
        ]
    columns = np.array(rows, dtype=np.intp).T
    seen = Shown(spots=columns[0], items=columns[1], clicked=columns[2].astype(float), lists=columns[3])

    model = ClickModel().fit(seen, spots=4, items=4)
    naive = np.bincount(seen.items, seen.clicked) / np.bincount(seen.items)

    assert naive[0] > 2.5 * naive[1:].max()
    assert model.appeal_ == pytest.approx(np.ones(4), abs=0.25)
    assert model.looked_ / model.looked_[0] == pytest.approx(np.array(LOOKED) / LOOKED[0], abs=0.1)


def test_of_little_evidence_follows_little():
    """One product without a click and one with a single one both stay near the average."""
    few = Shown(
        spots=np.zeros(4, np.intp), items=np.array([0, 0, 1, 1]), clicked=np.array([0.0, 0, 1, 0]), lists=np.arange(4)
    )

    assert ClickModel().fit(few, spots=1, items=3).appeal_ == pytest.approx([0.92, 1.11, 1.0], abs=0.03)


async def test_a_click_counts_once_for_a_list_that_was_shown(shop):
    """Not twice, not for a product or list that was not shown, not in another visitor's list, nor in another place."""
    await shop.publish(at(0, shown("l1", "p1", "p2")), at(0, shown("l1", "p3", first=3)), at(1, clicked("l1", "p3", 9)))
    for wrong in (
        clicked("l1", "p3", 3),
        clicked("l1", "p9", 1),
        clicked("l2", "p1", 1),
        clicked("l1", "p1", 1, visitor="v2"),
        clicked("l1", "p2", 2, place="home"),
    ):
        await shop.publish(at(2, wrong))

    (found,) = (await read_impressions(shop)).lists()

    assert found.positions == {"p1": 1, "p2": 2, "p3": 3}
    assert list(found.clicked) == ["p3"]


async def test_nobody_decides_alone_what_counts(shop):
    """Of a visitor who sends lists without end some count."""
    await shop.publish(*(at(n, shown(f"l{n}", "p1")) for n in range(MOST_OF_VISITOR + 50)))

    assert len(list((await read_impressions(shop)).lists())) == MOST_OF_VISITOR


async def test_a_mails_list_is_known_by_its_offer_and_clicked_on_any_device(shop):
    """The three products that a mail shows are an impression; what was not sent, or shown on the site, is none."""
    recommended = tuple(Recommendation(product_id=f"p{n}", reason="") for n in range(5))
    for offer, channel in (("o1", "email"), ("o2", "onsite")):
        await shop.publish(at(0, decided(offer, "v1", "10", recommended=recommended)))
        await shop.publish(at(1, OfferSent(cart_id=offer, visitor_id="v1", offer_id=offer, channel=channel)))
    await shop.publish(at(0, decided("o3", "v1", "10", recommended=recommended)))
    await shop.publish(at(2, clicked("o1", "p1", 2, visitor="phone", place="email")))

    (found,) = (await read_impressions(shop)).lists()

    assert (found.place, found.positions) == ("email", {"p0": 1, "p1": 2, "p2": 3})
    assert [who for _, who in found.clicked.values()] == ["phone"]


@pytest.mark.timeout(180)
async def test_products_own_click_rates_reach_the_ranking_model(shop):
    """What attracts more is ranked up by the logarithm of how much more; who was erased is left out of it."""
    appeal = [1.0, 0.2, *[0.5] * 6]
    await browse(shop, appeal, 1500, best_first=True)
    erased = tuple(f"v{n}" for n in range(5))

    rows = await training_rows([shop])
    found = rows.appeal.log_appeal
    served = model_of(plain(dict(WEIGHTS), found))
    await shop.publish(ProfileErased(request="r", region="us", visitors=5, keys=0, records=0, visitor_ids=erased))
    left = list((await read_impressions(shop)).lists())

    assert found["p0"] - found["p1"] == pytest.approx(np.log(5), abs=0.5)
    assert found["p0"] - found["p2"] == pytest.approx(np.log(2), abs=0.4)
    assert served.log_appeal == found
    assert len(left) == 1495


@pytest.mark.timeout(180)
async def test_where_products_do_not_differ_nothing_is_learnt_of_them(shop):
    """Chance alone makes no product better; with too few clicks nothing is tried."""
    await browse(shop, [0.5] * 8, 1500, best_first=True)
    alike = learn_appeal([await read_impressions(shop)])

    assert alike.log_appeal == {}
    assert alike.explanation.endswith("which products does not show beyond chance")
    assert learn_appeal([]).explanation == "0 lists shown, 0 products clicked: too few clicks to learn from"


def decided(offer, visitor, arm, *, recommended=()):
    return OfferDecided(
        cart_id=offer,
        visitor_id=visitor,
        offer_id=offer,
        abandonment_id=f"left-{offer}",
        attempt=1,
        outcome="dropped" if arm == "none" else "approved",
        reason="",
        checks=(),
        journey="abandoned-cart",
        due=NOW,
        assignment=Assignment(arm=arm, probability=0.5, eligible=True, withheld=0.5),
        recommended=recommended,
    )


def test_a_rates_interval_is_wilsons():
    """Figures of Newcombe (1998), table I, methods 3: 81 of 263, and 0 of 20."""
    many, none = rate(81, 263), rate(0, 20)

    assert (many.low, many.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert (none.low, none.high) == pytest.approx((0.0, 0.1611), abs=1e-4)


async def test_the_report_counts_what_was_shown_clicked_and_ordered(shop):
    """By place and version; an order counts for the clicked product, soon after, and where it is confirmed."""
    await shop.publish(at(0, shown("l1", "p1", "p2")), at(0, shown("l2", "p1", visitor="v2")))
    await shop.publish(at(0, shown("l3", "p1", place="home", version=None)))
    await shop.publish(at(1, clicked("l1", "p1", 1)), at(1, clicked("l2", "p1", 1, visitor="v2")))
    await shop.publish(at(3, order(OrderConfirmed, "o1", "p1", visitor_id="v1")))
    await shop.publish(
        at(2, order(OrderPlaced, "o1", "p1", visitor_id="v1")), at(2, order(OrderPlaced, "x", "p1", visitor_id="v2"))
    )

    report = await click_report(shop)

    rows = [(one.place, one.version, one.shown, one.clicked, one.orders) for one in report.lists]
    assert rows == [("cart", "v7", 2, 2, 1), ("home", None, 1, 0, 0)]


async def test_what_offers_change_is_measured_on_whom_they_reach_without_comparing_different_shoppers(shop):
    """Given offers that reach half of those who are given one, and change a fifth of these, that fifth is found.

    Shoppers who come back are reached by cards and buy more in any case: reached against not reached says far more.
    """
    dice, told, bought = np.random.default_rng(2), [], {True: [], False: []}
    for n in range(4000):
        comes_back, given = dice.random() < 0.5, dice.random() < 0.5
        offer, visitor = f"o{n}", f"v{n}"
        told.append(at(n, decided(offer, visitor, "10" if given else "none")))
        if given:
            sent = OfferSent(
                cart_id=offer, visitor_id=visitor, offer_id=offer, channel="onsite", journey="abandoned-cart"
            )
            told.append(at(n, sent))
        if given and comes_back:
            told.append(at(n, OfferShown(cart_id=offer, visitor_id=visitor, offer_id=offer)))
            told.append(at(n, OfferClicked(cart_id=offer, visitor_id=visitor, offer_id=offer)))
        buys = dice.random() < (0.4 if comes_back else 0.1) + 0.2 * (given and comes_back)
        if given:
            bought[comes_back].append(buys)
        if buys:
            told.append(at(n + 1, order(OrderPlaced, f"x{n}", "p1", visitor_id=visitor)))
    for start in range(0, len(told), 500):
        await shop.publish(*told[start : start + 500])

    report = await click_report(shop)
    printed = io.StringIO()
    with redirect_stdout(printed):
        show_clicks([report])

    effect, (offers,) = report.effect, report.offers
    assert effect.reached == pytest.approx(0.5, abs=0.05)
    assert effect.of_reached == pytest.approx(0.2, abs=2.5 * effect.error)
    assert effect.error < 0.05
    assert np.mean(bought[True]) - np.mean(bought[False]) > 0.4  # what a comparison by exposure would say
    assert (offers.sent, offers.seen, offers.clicked) == (effect.given, offers.clicked, offers.seen)
    assert "of those who were reached +" in printed.getvalue()
