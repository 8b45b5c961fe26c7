"""Reading a shop's log and telling it as a storefront would."""

import math
from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl
import pytest

from mesh.events.cart import CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.interaction import ProductViewed
from mesh.events.order import OrderConfirmed
from mesh.shop_logs.style import UnreadableLog
from mesh.subjects import token
from services.demo.replay.pace import Pace, scaled
from services.demo.replay.shop_log import Row, minor_units, read_log, token_of
from services.demo.replay.storefront_events import Storefront, home_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def row(number, kind, product="p1", *, user="u1", session="s1", price=1000, **extra):
    at = NOON + timedelta(seconds=number)
    return Row(
        number=number, time=at, kind=kind, product_id=product, user_id=user, session_id=session, price=price, **extra
    )


def events_of(rows, **options):
    storefront = Storefront(run="r1", **options)
    return [event for one in rows for event in storefront.events(one, NOON)]


def test_prices():
    """Prices become integer minor units of their currency; what is no price is none."""
    given = [
        (35.79, "USD"),
        (0.005, "USD"),
        (1500, "JPY"),
        (1.2345, "KWD"),
        (math.nan, "USD"),
        (-1, "USD"),
        (None, "EUR"),
    ]

    found = [minor_units(price, currency) for price, currency in given]

    assert found == [3579, 1, 1500, 1235, None, None, None]


@pytest.mark.parametrize("value", ["a.b", "two words", "*", ">", "x" * 10_000, "émoji 🎉", "🎉"])
def test_ids_become_tokens(value):
    """Whatever a log uses as an id becomes one subject token, different ids different ones."""
    made = token_of(value)

    assert token(made) == made
    assert token_of(value + "!") != made


def test_fit_ids_stay():
    """An id that can be a token is used as it is."""
    assert token_of("72d76fde-8bb3-4e00-8c23-a032dfed738c") == "72d76fde-8bb3-4e00-8c23-a032dfed738c"


def test_a_log_with_gaps(tmp_path):
    """Rows that say nothing are left out, the rest is in order of time, rows of one time in the file's order."""
    path = tmp_path / "log.parquet"
    pl.DataFrame(
        {
            "event_time": ["2019-10-01 00:00:09 UTC", "2019-10-01 00:00:01 UTC", "2019-10-01 00:00:01 UTC", None],
            "event_type": ["purchase", "view", "cart", "view"],
            "product_id": [1, 2, 2, 3],
            "user_id": [5, 6, 6, 7],
            "price": [math.nan, 2.5, None, 1.0],
        }
    ).write_parquet(path)

    log = read_log(path).rows

    assert [(one.number, one.kind, one.price, one.session_id) for one in log] == [
        (1, "view", 250, "user-6"),
        (2, "cart", None, "user-6"),
        (0, "purchase", None, "user-5"),
    ]


def test_another_file(tmp_path):
    """A file that is no shop's log is refused with the columns that it lacks."""
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")

    with pytest.raises(UnreadableLog, match="no column event_time, event_type, product_id, user_id"):
        read_log(path)


def test_the_whole_cart_is_sent():
    """A cart row adds its product to the session's cart, and the whole cart is sent; twice makes two pieces."""
    events = events_of([row(0, "cart", "p1"), row(1, "cart", "p2"), row(2, "cart", "p1")], identify=False)

    lines = [[(line["product_id"], line["quantity"]) for line in event["lines"]] for event in events]
    assert lines == [[("p1", 1)], [("p1", 1), ("p2", 1)], [("p1", 2), ("p2", 1)]]


def test_an_order_of_the_cart():
    """A purchase orders the session's cart whole; the purchase rows of its other products belong to that order."""
    rows = [row(0, "cart", "p1"), row(1, "cart", "p2"), row(2, "purchase", "p1"), row(3, "purchase", "p2")]

    orders = [event for event in events_of(rows, identify=False) if event["type"] == "order_confirmed"]

    assert [(order["cart_id"], order["total"]) for order in orders] == [("s1", {"amount": 2000, "currency": "USD"})]


def test_an_order_without_a_cart():
    """A purchase that no cart row came before is an order of the product, of no cart."""
    (order,) = events_of([row(0, "purchase", "p9", price=501)], identify=False)

    assert "cart_id" not in order
    assert [line["product_id"] for line in order["lines"]] == ["p9"]
    assert order["total"]["amount"] == 501


def test_a_removed_product():
    """A removed product leaves the cart; one that was never in it changes nothing."""
    rows = [row(0, "remove_from_cart"), row(1, "cart"), row(2, "remove_from_cart")]

    assert [len(event["lines"]) for event in events_of(rows, identify=False)] == [1, 0]


def test_a_visitor_is_introduced_once():
    """Who a visitor is and that mail is welcome is said once, before the first cart, and not for who only looks."""
    events = events_of([row(0, "view"), row(1, "cart"), row(2, "cart"), row(3, "view", user="u2")])

    types = [event["type"] for event in events]
    assert types == [
        "product_viewed",
        "customer_identified",
        "consent_changed",
        "cart_updated",
        "cart_updated",
        "product_viewed",
    ]
    assert events[1]["email"] == "u1@example.test"


def test_what_is_sent_is_what_the_mesh_understands():
    """Every event sent decodes as its event, ids differ, and the same rows make the same ids again."""
    kinds = {
        "product_viewed": ProductViewed,
        "cart_updated": CartUpdated,
        "order_confirmed": OrderConfirmed,
        "customer_identified": CustomerIdentified,
        "consent_changed": ConsentChanged,
    }
    rows = [row(0, "view", price=None), row(1, "cart", brand="acme", category="a.kettle"), row(2, "purchase")]

    events = events_of(rows)

    for event in events:
        msgspec.convert(event, kinds[event["type"]])
    assert len({event["id"] for event in events}) == len(events)
    assert events_of(rows) == events


def test_home():
    """A shopper's home region is the same for ever, and shoppers spread over all regions."""
    homes = [home_of(f"u{number}", ("us", "eu", "ap")) for number in range(300)]

    assert homes == [home_of(f"u{number}", ("us", "eu", "ap")) for number in range(300)]
    assert min(homes.count(region) for region in ("us", "eu", "ap")) > 70


def test_pace():
    """At 200 times the speed two hours and fifty minutes take fifty-one seconds, and what is late is known."""
    pace = Pace(first=NOON, speed=200, started=100.0)

    assert pace.due(NOON + timedelta(hours=2, minutes=50)) == 151.0
    assert pace.lag(NOON + timedelta(seconds=200), 101.5) == 0.5
    assert Pace(first=NOON, speed=0, started=100.0).due(NOON + timedelta(days=3)) == 100.0


def test_delays_are_scaled_alike():
    """Half an hour at 200 times the speed is nine seconds, never below what is asked at least."""
    assert scaled(timedelta(minutes=30), 200) == timedelta(seconds=9)
    assert scaled(timedelta(seconds=30), 200, least=timedelta(seconds=1)) == timedelta(seconds=1)
    assert scaled(timedelta(minutes=30), 0) == timedelta(minutes=30)
