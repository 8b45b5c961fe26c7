"""A shop's log becomes moments with what was known then, whichever way the log is kept."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.cart import CartAbandoned, CartLine, CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.order import OrderConfirmed, OrderPlaced
from mesh.events.profile import ProfileErased
from mesh.lake.rows import rows_of
from mesh.lake.table import lake_tables
from mesh.publish import Draft
from mesh.streams import StreamFamily, StreamLayout, mesh_stream
from ml.clickstream.log_files import REQUIRED
from ml.clickstream.steps import step_of
from ml.features import names
from ml.scoring.shopper import Shopper
from ml.training import dataset, propensity
from ml.training.process import TrainingTask
from ml.training.result import TrainingRequest

DATA = Path(os.environ.get("CARTMESH_DATA", Path(__file__).parents[3] / "shared" / "data"))
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def row(minute, kind, product="p1", user="u1", session="s1", price=10.0):
    return {
        "event_time": NOW + timedelta(minutes=minute),
        "event_type": kind,
        "product_id": product,
        "price": price,
        "user_id": user,
        "user_session": session,
    }


def written(rows, folder):
    schema = dict.fromkeys(REQUIRED, pl.String) | {"event_time": pl.Datetime("us", "UTC"), "price": pl.Float64}
    pl.DataFrame(rows, schema=schema).write_parquet(folder / "log.parquet")
    return folder / "log.parquet"


HISTORY = [
    row(0, "view"),
    row(1, "view", "p2", price=5.5),
    row(2, "cart"),
    row(3, "cart", "p2", price=5.5),
    row(4, "view"),
    row(60, "purchase"),
    row(61, "view", "p3", "u2", "s2"),
    row(500, "view", "p4", "u3", "s3"),
]


def test_labels_look_ahead_as_far_as_the_horizon(tmp_path):
    """A moment is labelled 1 exactly when its visitor buys within the horizon after it."""
    steps = dataset.from_file(written(HISTORY, tmp_path))

    rows = dataset.points(steps, horizon=timedelta(minutes=58))

    minutes = ((rows["at"] - NOW.timestamp()) / 60).round().to_list()
    assert list(zip(minutes, rows["label"].to_list(), rows["carted"].to_list(), strict=True)) == [
        (0, 0, False),
        (1, 0, False),
        (2, 1, True),
        (3, 1, True),
        (4, 1, True),
        (33, 1, True),
        (61, 0, False),
    ]


def test_a_moment_whose_horizon_is_not_over_is_left_out(tmp_path):
    """Nothing is asked whose answer the log does not hold yet, not even where the answer is already yes."""
    steps = dataset.from_file(written(HISTORY[:6], tmp_path))

    assert len(dataset.points(steps, horizon=timedelta(minutes=57))) == 4
    assert len(dataset.points(steps, horizon=timedelta(minutes=70))) == 0


def test_a_planted_future_changes_nothing_that_was_known(tmp_path):
    """Given a log with more appended, every earlier row keeps its features."""
    before = dataset.with_features(dataset.from_file(written(HISTORY[:5], tmp_path)))
    future = [row(600, "purchase"), row(601, "cart", "p9"), row(602, "view", "p1", "u1", "s9")]
    after = dataset.with_features(dataset.from_file(written([*HISTORY[:5], *future], tmp_path)))

    known = [f"feature_{name}" for name in names()]
    assert before.select("at", *known).equals(after.head(len(before)).select("at", *known))


async def test_file_and_mesh_tell_the_same_story(tmp_path):
    """The same shopping, as a file and as events, gives the same features and labels."""
    shop = Mesh(MemoryMesh("us").broker("us"), "gateway")
    eur = lambda price: Money(amount=round(price * 100), currency="EUR")  # noqa: E731
    who = {"visitor_id": "u1", "session_id": "s1"}
    first, second = (CartLine(product_id=p, quantity=1, price=eur(v)) for p, v in (("p1", 10.0), ("p2", 5.5)))
    history = [
        (0, ProductViewed(product_id="p1", price=eur(10), **who)),
        (1, ProductViewed(product_id="p2", price=eur(5.5), **who)),
        (2, CartUpdated(cart_id="c", lines=(first,), **who)),
        (3, CartUpdated(cart_id="c", lines=(first, second), **who)),
        (4, ProductViewed(product_id="p1", price=eur(10), **who)),
        (60, OrderPlaced(order_id="o", lines=(first, second), total=eur(15.5), **who)),
        (61, ProductViewed(product_id="p3", price=eur(10), visitor_id="u2", session_id="s2")),
        (500, ProductViewed(product_id="p4", price=eur(10), visitor_id="u3", session_id="s3")),
    ]
    for minute, happened in history:
        await shop.publish(Draft(event=happened, time=NOW + timedelta(minutes=minute)))
    abandoned = CartAbandoned(
        cart_id="c",
        lines=(first, second),
        total=eur(15.5),
        left_at=NOW + timedelta(minutes=3),
        due=NOW + timedelta(minutes=33),
        **who,
    )
    await shop.publish(abandoned)

    from_mesh = dataset.points(await dataset.from_mesh(shop), horizon=timedelta(minutes=58))
    from_file = dataset.points(dataset.from_file(written(HISTORY, tmp_path)), horizon=timedelta(minutes=58))

    assert from_mesh.to_dicts() == from_file.to_dicts()


async def test_an_order_that_page_and_server_report_is_one_purchase():
    """Serving and training count it once, when it was reported first; another order of the same visitor counts."""
    shop = Mesh(MemoryMesh("us").broker("us"), "gateway")
    euro = Money(amount=1000, currency="EUR")
    line = CartLine(product_id="p1", quantity=1, price=euro)
    for minute, order, by in ((0, "o1", "page"), (1, "o1", "server"), (30, "o2", "page")):
        placed = OrderPlaced(order_id=order, visitor_id="u1", session_id="s1", lines=(line,), total=euro, by=by)
        await shop.publish(Draft(event=placed, id=f"{order}-{by}", time=NOW + timedelta(minutes=minute)))

    later = NOW.timestamp() + 3600
    served = Shopper([step_of(one) async for one in shop.read(OrderPlaced)])
    asked = pl.DataFrame({"visitor": ["u1"], "session": ["s1"], "at": [later]})
    trained = dataset.at_moment(await dataset.from_mesh(shop), asked)

    assert [step.at - NOW.timestamp() for step in served.steps] == [0, 1800]
    assert served.vector(later, "s1")[names().index("visitor_purchases")] == 2
    assert trained["visitor_purchases"].to_list() == [2]


EURO = Money(amount=1000, currency="EUR")
BOUGHT = (CartLine(product_id="p1", quantity=1, price=EURO),)


def visit(visitor, minute):
    viewed = ProductViewed(visitor_id=visitor, product_id="p1", session_id=f"s-{visitor}")
    return Draft(event=viewed, time=NOW + timedelta(minutes=minute))


def order(kind, order_id, minute, **more):
    return Draft(event=kind(order_id=order_id, lines=BOUGHT, total=EURO, **more), time=NOW + timedelta(minutes=minute))


async def labels(shop, minutes=10):
    """By visitor, whether they bought soon after they looked, as training is told."""
    rows = dataset.points(await dataset.from_mesh(shop), horizon=timedelta(minutes=minutes))
    return dict(zip(rows["visitor"].to_list(), rows["label"].to_list(), strict=True))


async def test_where_the_shop_confirms_orders_invented_ones_teach_nothing(regions, eventually):
    """Given a page that reports orders nobody made, and others' orders as its own, only who is confirmed bought.

    Confirmations count from whichever region they come, by visitor, cart or customer, as the shop names them.
    """
    shop, eu = (Mesh(regions.broker(name), "gateway", others=()) for name in ("us", "eu"))
    await shop.publish(*(visit(f"v{n}", 0) for n in range(6)), visit("forger", 0), visit("late", 50))
    await shop.publish(order(OrderPlaced, "early", 1, visitor_id="v0"))
    await shop.publish(order(OrderConfirmed, "o1", 2, visitor_id="v1"))
    await shop.publish(order(OrderPlaced, "o1", 1, visitor_id="forger"))
    await shop.publish(order(OrderPlaced, "o1", 1, visitor_id="v1"))
    await shop.publish(order(OrderPlaced, "o2", 1, visitor_id="v2", cart_id="c2"))
    await shop.publish(order(OrderPlaced, "o3", 1, visitor_id="v3", customer_id="k3"))
    await shop.publish(order(OrderPlaced, "o4", 1, visitor_id="v4"), order(OrderPlaced, "o4", 1, visitor_id="forger"))
    await shop.publish(order(OrderPlaced, "invented", 1, visitor_id="forger"))
    await shop.publish(order(OrderPlaced, "o5", 1, visitor_id="v5", by="server"))
    confirmed = order(OrderConfirmed, "o2", 2, cart_id="c2"), order(OrderConfirmed, "o3", 2, customer_id="k3")
    await eu.publish(*confirmed, order(OrderConfirmed, "o4", 2), order(OrderConfirmed, "last", 60, visitor_id="v9"))

    async def all_copied():
        copied = [one.event.order_id async for one in shop.read(OrderConfirmed, stream=mesh_stream("us"))]
        return "last" in copied

    await eventually(all_copied, within=60)

    assert await labels(shop) == {"v0": 1, "v1": 1, "v2": 1, "v3": 1, "v4": 0, "v5": 1, "forger": 0}


async def test_where_the_shop_confirms_no_order_every_report_teaches(regions):
    """There is nothing better: a shop that only has pages is learnt from as before."""
    shop = Mesh(regions.broker("us"), "gateway", others=())
    await shop.publish(visit("v1", 0), visit("v2", 0), order(OrderPlaced, "o1", 1, visitor_id="v1"), visit("v3", 60))

    assert await labels(shop) == {"v1": 1, "v2": 0}


async def test_what_may_be_confirmed_yet_is_not_asked(regions):
    """Given confirmations that stop, later visits teach neither that their shoppers bought nor that they did not."""
    shop = Mesh(regions.broker("us"), "gateway", others=())
    await shop.publish(visit("v1", 0), order(OrderPlaced, "o1", 1, visitor_id="v1"))
    await shop.publish(order(OrderConfirmed, "o1", 21, visitor_id="v1"))
    await shop.publish(visit("v2", 20), order(OrderPlaced, "o2", 21, visitor_id="v2"), visit("v3", 200))

    frame = await dataset.from_mesh(shop)

    assert await labels(shop, minutes=1) == {"v1": 1}
    assert frame["visitor"].unique().to_list() == ["v1"]  # confirmations take 20 minutes: v2's may be on its way


async def test_who_was_erased_teaches_nothing_from_before(regions):
    """The steps stay in the streams; training leaves them out, and counts what the device does afterwards."""
    shop = Mesh(regions.broker("us"), "gateway", others=())
    await shop.publish(visit("ada", 0), order(OrderPlaced, "o1", 1, visitor_id="ada"), visit("bob", 2))
    proof = ProfileErased(request="r", region="us", visitors=1, keys=1, records=1, visitor_ids=("ada",))
    await shop.publish(proof)
    later = datetime.now(UTC) + timedelta(minutes=1)
    again = ProductViewed(visitor_id="ada", product_id="p9", session_id="s2")
    await shop.publish(Draft(event=again, time=later))

    frame = await dataset.from_mesh(shop)

    assert set(frame.select("visitor", "product").rows()) == {("bob", "p1"), ("ada", "p9")}


def test_the_training_process_is_given_the_streams_of_its_mesh():
    """A domain with a stream of its own is read from there: the layout reaches the child as it was."""
    stock = StreamFamily(name="ORDERS", domains=("order",), keep=timedelta(days=400))
    order = TrainingRequest(by="a review", at=NOW)
    task = TrainingTask(name="propensity", login={}, order=order, layout=StreamLayout(own=(stock,)))

    given = msgspec.msgpack.decode(msgspec.msgpack.encode(task), type=TrainingTask)

    assert Mesh(MemoryMesh("us").broker("us"), "training", layout=given.layout).stream_of(OrderPlaced) == "ORDERS_us"


async def test_of_a_busy_mesh_whole_visitors_are_left_out():
    """Given more events than a frame may have, the visitors that are kept keep all of theirs."""
    shop = Mesh(MemoryMesh("us").broker("us"), "gateway")
    for n in range(120):
        viewed = ProductViewed(visitor_id=f"u{n % 40}", product_id=f"p{n}", session_id=f"s{n % 40}")
        await shop.publish(Draft(event=viewed, time=NOW + timedelta(minutes=n)))

    whole, some = await dataset.from_mesh(shop), await dataset.from_mesh(shop, most=60)

    assert len(whole) == 120
    assert 3 <= len(some) <= 60
    assert some.equals(whole.filter(pl.col("visitor").is_in(some["visitor"].unique().implode())))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row(0, "view")],
        [row(at, "view", user=f"u{at % 50}", session=f"s{at % 50}") for at in range(3000)],
        [row(at, "purchase", user="u", session=f"s{at}") for at in range(400)],
        [row(0, "view", price=float("nan")), row(1, "cart", price=float("inf")), row(2, "cart", "p2", price=-3.0)],
    ],
    ids=["empty", "one event", "nobody buys", "only purchases", "absurd prices"],
)
def test_a_log_that_teaches_nothing_is_answered_in_words(rows, tmp_path):
    """Training never fails for want of data: it says what is missing, and nothing is registered."""
    order = TrainingRequest(by="a test", at=NOW)
    learnt = propensity.fit(dataset.from_file(written(rows, tmp_path)), order).judge(None)

    assert (learnt.accepted, learnt.artifact) == (False, None)
    assert learnt.reason.startswith("nothing learnt: ")


def test_absurd_prices_count_as_nothing(tmp_path):
    """NaN, infinite and negative prices become 0, so that every feature stays finite."""
    rows = [row(0, "view", price=float("nan")), row(1, "cart", price=float("inf")), row(2, "cart", "p2", price=-3.0)]

    steps = dataset.with_features(dataset.from_file(written(rows, tmp_path)))

    assert steps["price"].to_list()[:3] == [0.0, 0.0, 0.0]
    assert all(steps[f"feature_{name}"].is_finite().all() for name in names())


def test_a_log_may_know_the_shoppers_zone_device_and_where_they_came_from(tmp_path):
    """Columns that not every shop has are used where they are, and nonsense in them is unknown."""
    rows = pl.read_parquet(written(HISTORY, tmp_path)).with_columns(
        utc_offset=pl.Series([None, "60", "5000", *[None] * 5]),
        device=pl.Series(["mobile", *[None] * 7]),
        referrer=pl.Series(["https://search.example", *[None] * 7]),
    )
    rows.write_csv(tmp_path / "log.csv", datetime_format="%Y-%m-%d %H:%M:%S UTC")

    steps = dataset.with_features(dataset.from_file(tmp_path / "log.csv")).filter(pl.col("visitor") == "u1")

    assert steps["feature_hour"].to_list()[:3] == [12, 13, 13]
    assert steps["feature_mobile"].to_list()[0] == steps["feature_referred"].to_list()[-1] == 1


def test_a_session_without_a_name_is_the_visitors_day(tmp_path):
    """Rows that name no session belong to their visitor's day, and rows without a user to their session."""
    rows = [row(0, "view", session=None), row(800, "view", session=None), row(1, "view", user=None, session="s9")]

    steps = dataset.from_file(written(rows, tmp_path)).sort("visitor", "at")

    days = [int(NOW.timestamp()) // 86_400 + n for n in (0, 1)]
    assert steps["visitor"].to_list() == ["s9", "u1", "u1"]
    assert steps["session"].to_list() == ["s9", *(f"u1:{day}" for day in days)]


def test_rows_of_one_order_are_one_purchase_worth_their_sum(tmp_path):
    """A purchase of several products at one time is one purchase, and its total is what the shopper spent."""
    rows = [row(0, "cart"), row(1, "purchase", price=10.0), row(1, "purchase", "p2", price=5.5), row(2, "view")]

    steps = dataset.with_features(dataset.from_file(written(rows, tmp_path)))

    assert steps["kind"].to_list() == ["cart", "purchase", "view"]
    assert steps.select("feature_visitor_purchases", "feature_visitor_spend").row(-1) == (1, 15.5)


def made_up(events):
    """A shop's log with overlapping sessions, carts and orders, in no order."""
    rng = np.random.default_rng(7)
    kinds = rng.choice(["view", "cart", "purchase"], events, p=[0.7, 0.2, 0.1])
    users = rng.integers(0, events // 20, events)
    return [
        row(int(rng.integers(0, 40_000)), str(kind), f"p{rng.integers(0, 30)}", f"u{user}", f"s{user}-{n % 3}", 9.99)
        for n, (kind, user) in enumerate(zip(kinds, users, strict=True))
    ]


def test_parts_of_a_log_are_the_whole_log(tmp_path):
    """Computed part by part, file to file, every row has the features that it has in one frame."""
    log = written(made_up(3_000), tmp_path)
    key = ["visitor", "session", "at", "kind", "feature_views", "feature_cart_adds", "feature_visitor_cart_adds"]

    whole = dataset.with_features(dataset.from_file(log))
    count = dataset.write_features(log, tmp_path / "features", rows=400)
    parts = pl.read_parquet(tmp_path / "features" / "*.parquet")

    assert len(list((tmp_path / "features").iterdir())) > 4
    assert count == len(whole)
    assert parts.sort(key).equals(whole.select(parts.columns).sort(key))


def test_of_a_long_log_whole_visitors_are_left_out(tmp_path):
    """Given a log with more rows than a frame may have, the visitors that are kept keep all of theirs."""
    log = written(made_up(3_000), tmp_path)

    whole, some = dataset.from_file(log), dataset.from_file(log, most=1_000)

    kept = whole.filter(pl.col("visitor").is_in(some["visitor"].unique().implode()))
    assert 300 < len(some) < 2_000
    order = ["visitor", "at", "session", "kind", "product"]
    assert some.sort(order).equals(kept.sort(order))


def test_a_question_about_a_stranger_has_an_answer():
    """What is known of a visitor without steps is what is known of anyone: nothing."""
    questions = pl.DataFrame({"visitor": ["nobody"], "session": ["s"], "at": [NOW.timestamp()]})

    answer = dataset.at_moment(dataset.frame({}), questions).row(0, named=True)

    assert (answer["steps"], answer["views"], answer["seconds_since_cart"], answer["hour"]) == (0, 0, -1, 12)


def test_a_file_that_is_no_log_is_refused(tmp_path):
    """A missing column is named, and a file of another kind is said to be unreadable."""
    pl.DataFrame({"event_time": ["2026-01-01"]}).write_csv(tmp_path / "log.csv")
    (tmp_path / "log.parquet").write_bytes(b"no parquet")

    with pytest.raises(dataset.UnreadableLog, match="no column event_type, product_id"):
        dataset.from_file(tmp_path / "log.csv")
    with pytest.raises(dataset.UnreadableLog, match="cannot be read"):
        dataset.from_file(tmp_path / "log.parquet")


def test_a_real_shops_log_is_read_whole():
    """The public log of a real shop gives a moment for every step whose outcome is known."""
    log = DATA / "rees46_oct2019_sample.parquet"
    if not log.exists():
        pytest.skip(f"no {log}: set CARTMESH_DATA to the folder with the public data")

    steps = dataset.from_file(log)

    kinds = dict(steps["kind"].value_counts().rows())
    assert (kinds["view"], kinds["cart"] + kinds["change"]) == (17_056, 165)
    assert len(dataset.points(steps)) > 1_000


async def test_training_reads_what_the_streams_have_forgotten(mesh, monkeypatch, tmp_path):
    """What the lake holds is learnt from, and what the streams hold behind it, each once."""
    shoppers = [ProductViewed(visitor_id=f"u{at}", session_id=f"s{at}", product_id="p1") for at in range(6)]
    for one in shoppers[:4]:
        await mesh.publish(one)
    monkeypatch.setenv("CARTMESH_LAKE", str(tmp_path))
    table = next(one for one in lake_tables(mesh) if one.name == "interactions")
    messages = [one async for one in mesh.broker.read("INTERACTIONS_us", ["ev.us.>"])]
    table.append(rows_of(messages), after=0, place=messages[-1].sequence)
    for message in messages[:2]:
        await mesh.broker.remove("INTERACTIONS_us", message.sequence)
    for one in shoppers[4:]:
        await mesh.publish(one)

    frame = await dataset.from_mesh(mesh)

    assert sorted(frame["visitor"].to_list()) == [f"u{at}" for at in range(6)]
