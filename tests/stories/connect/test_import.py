"""A shop's past is imported from files: each right row once, each wrong one named, and nothing begins by it."""

import asyncio
import io
from datetime import UTC, datetime, timedelta

import httpx
import polars as pl
import pytest
from rich.console import Console

from mesh.events.cart import CartAbandoned, CartUpdated
from mesh.events.interaction import ProductSearched, ProductViewed
from mesh.events.order import OrderConfirmed, OrderPlaced, PurchaseMarked
from mesh.money import Money
from mesh.runtime.waiting import until
from mesh.shop_logs.style import UnreadableLog
from services.connect.history.command import Plan, run_import
from tests.stories.connect.conftest import PAGE, SERVER

VIEWS = """
source = "old-shop"
type = "product_viewed"
[time]
column = "ts"
format = "%d.%m.%Y %H:%M"
zone = "Europe/Berlin"
[amounts]
decimal = "comma"
currency = "EUR"
[fields]
visitor_id = "user"
product_id = "sku"
price = "preis"
"""
ORDERS = """
source = "old-shop"
type = "order_confirmed"
[time]
column = "at"
format = "epoch_ms"
[amounts]
decimal = "point"
currency = { column = "currency" }
[fields]
order_id = "order"
visitor_id = "customer"
product_id = "sku"
quantity = "pieces"
price = "price"
"""
HEAD = "ts;user;sku;preis\n"


class History:
    """Files of a shop's past, and what an import of one says."""

    def __init__(self, shop, folder):
        self.shop, self.folder = shop, folder

    async def load(self, content, mapping=VIEWS, *, name="past.csv", key=SERVER, gateway=None, patience=5):
        path = self.folder / name
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        (self.folder / "map.toml").write_text(mapping, encoding="utf-8")
        said = io.StringIO()
        plan = Plan(
            file=path,
            mapping=self.folder / "map.toml",
            gateway=gateway or self.shop.url,
            key=key,
            patience=timedelta(seconds=patience),
        )
        code = await asyncio.to_thread(run_import, plan, Console(file=said, width=200))
        return code, said.getvalue()

    def refused(self, name="past.csv"):
        path = self.folder / f"{name}.refused.tsv"
        return [line.split("\t") for line in path.read_text().splitlines()[1:]] if path.exists() else []


@pytest.fixture
def history(shop, tmp_path):
    return History(shop, tmp_path)


async def test_a_german_export_with_a_byte_order_mark_is_read_as_it_is_meant(history):
    """Semicolons, decimal commas, dots for thousands, dates by day, the clock of Berlin in summer and in winter."""
    rows = "01.07.2025 12:00;u1;s1;1.299,00\n01.12.2025 12:00;u1;s2;4,5\n"
    code, _ = await history.load(b"\xef\xbb\xbf" + (HEAD + rows).encode())

    assert code == 0
    views = sorted(await history.shop.all(ProductViewed), key=lambda one: one.time)
    assert [(one.time, one.event.price) for one in views] == [
        (datetime(2025, 7, 1, 10, tzinfo=UTC), Money(amount=129900, currency="EUR")),
        (datetime(2025, 12, 1, 11, tzinfo=UTC), Money(amount=450, currency="EUR")),
    ]


async def test_bad_rows_are_listed_with_their_lines_and_the_others_imported(history):
    """An hour that summer time skips, one that it has twice, no id, no such date, a price of another style."""
    rows = [
        "01.07.2025 12:00;u1;s1;1,00",
        "30.03.2025 02:30;u1;s1;1,00",
        "26.10.2025 02:30;u1;s1;1,00",
        "01.07.2025 12:00;;s1;1,00",
        "31.06.2025 12:00;u1;s1;1,00",
        "2025-07-01 12:00;u1;s1;1,00",
        "01.07.2025 12:00;u1;s2;12.99",
        "01.07.2025 12:00;u1;s3;1,999",
        "01.07.2025 12:00;u1",
        "01.07.2025 12:00;u1;s4;1,00;extra",
        "01.07.2125 12:00;u1;s5;1,00",
        "",
        "01.07.2025 12:00;u1;s6;",
    ]
    code, said = await history.load(HEAD + "\n".join(rows) + "\n")

    assert code == 1
    assert [int(line) for line, _ in history.refused()] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert {one.product_id for one in await history.shop.events(ProductViewed)} == {"s1", "s6"}
    assert "10 rows are bad" in said


async def test_doubled_and_unsorted_rows_are_imported_once(history):
    """A row that stands there twice is one event, wherever it stands."""
    rows = [f"0{day}.07.2025 12:00;u1;s{day};1,00" for day in (3, 1, 2, 1, 3)]
    code, said = await history.load(HEAD + "\n".join(rows))

    assert (code, len(await history.shop.all(ProductViewed))) == (0, 3)
    assert "2 rows stand in the file more than once" in said


async def test_the_same_file_again_imports_nothing(history):
    """By its journal; and by looking each row up, where the journal was lost."""
    content = HEAD + "".join(f"01.07.2025 12:{at:02};u1;s{at};1,00\n" for at in range(30))
    await history.load(content)
    again = await history.load(content)
    (history.folder / "past.csv.imported").unlink()
    without = await history.load(content)

    assert len(await history.shop.all(ProductViewed)) == 30
    for code, said in (again, without):
        assert code == 0
        assert "0 events stored" in said
        assert "30 were imported before" in said


async def test_rows_that_were_put_right_are_imported_by_the_next_run(history):
    """The others are not sent again."""
    await history.load(HEAD + "01.07.2025 12:00;u1;s1;1,00\n01.07.2025 12:00;u1;s2;1.00\n")
    code, said = await history.load(HEAD + "01.07.2025 12:00;u1;s1;1,00\n01.07.2025 12:00;u1;s2;1,00\n")

    assert (code, len(await history.shop.all(ProductViewed))) == (0, 2)
    assert "1 events stored" in said


async def test_an_import_that_ends_in_the_middle_goes_on(history, monkeypatch):
    """The line is cut after two batches; what was sent and not answered is not doubled."""
    content = HEAD + "".join(f"01.07.2025 12:{at % 60:02};u{at};s;1,00\n" for at in range(1800))
    post, sent = httpx.AsyncClient.post, []

    async def fail(client, *arguments, **options):
        sent.append(1)
        answer = await post(client, *arguments, **options)
        if len(sent) > 2:  # stored, and nobody is told
            raise httpx.ReadError("the line is cut")
        return answer

    monkeypatch.setattr(httpx.AsyncClient, "post", fail)
    ended, said = await history.load(content, patience=0)
    monkeypatch.setattr(httpx.AsyncClient, "post", post)
    code, _ = await history.load(None)

    assert (ended, code) == (2, 0)
    assert "goes on where this one ended" in said
    assert len(await history.shop.all(ProductViewed)) == 1800


async def test_rows_of_an_order_are_its_lines(history, tmp_path):
    """Of Parquet as well; the order counts as revenue of its time, and names what was paid."""
    at = int(datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp() * 1000)
    pl.DataFrame(
        {
            "order": [7, 8, 7],
            "customer": ["c1", "c2", "c1"],
            "sku": ["a", "b", "b"],
            "pieces": [2, 1, 1],
            "price": [12.99, 5.0, 0.5],
            "currency": ["EUR", "JPY", "EUR"],
            "at": [at, at + 1, at + 2],
        }
    ).write_parquet(tmp_path / "past.parquet")
    code, _ = await history.load(None, ORDERS, name="past.parquet")

    orders = {one.event.order_id: one for one in await history.shop.all(OrderConfirmed)}
    assert code == 0
    assert orders["7"].event.total == Money(amount=2648, currency="EUR")
    assert [(line.product_id, line.quantity) for line in orders["7"].event.lines] == [("a", 2), ("b", 1)]
    assert orders["8"].event.total == Money(amount=5, currency="JPY")
    assert orders["7"].time == datetime(2024, 5, 1, 12, tzinfo=UTC)


async def test_rows_that_disagree_about_their_order_are_bad(history):
    """Two customers, two currencies: nobody decides which is right."""
    rows = [
        "order,customer,sku,pieces,price,currency,at",
        "7,c1,a,1,1.00,EUR,1700000000000",
        "7,c2,b,1,1.00,EUR,1700000000000",
        "8,c1,a,1,1.00,EUR,1700000000000",
        "8,c1,b,1,1.00,USD,1700000000000",
        "9,c1,a,0.5,1.00,EUR,1700000000000",
        "10,c1,a,1,1.00,EUR,1700000000",
    ]
    code, said = await history.load("\n".join(rows), ORDERS)

    assert (code, await history.shop.all(OrderConfirmed)) == (1, [])
    assert sorted(int(line) for line, _ in history.refused()) == [2, 4, 6, 7]
    assert "different values of visitor_id" in said


async def test_history_begins_nothing(history, regions):
    """No timer, so no left cart and no offer; no mark that would hide what a shopper bought since; no closed cart."""
    at = "1700000000000"
    await history.load(f"order,customer,sku,pieces,price,currency,at\n7,c1,a,1,1.00,EUR,{at}", ORDERS)
    cart = {
        "id": "old",
        "type": "cart_updated",
        "time": "2024-05-01T12:00:00Z",
        "visitor_id": "v1",
        "cart_id": "c1",
        "lines": [{"product_id": "a", "quantity": 1, "price": {"amount": 1, "currency": "EUR"}}],
    }
    headers = {"authorization": f"Bearer {SERVER}"}
    answer = await history.shop.http.post("/v1/history", json={"events": [cart]}, headers=headers)

    log = regions.regions["us"].logs["COMMERCE_us"].messages.values()
    assert (answer.status_code, len(await history.shop.all(CartUpdated))) == (202, 1)
    assert len(await history.shop.all(OrderConfirmed)) == 1
    assert [message.subject for message in log if message.subject.startswith("timer.")] == []
    assert await history.shop.all(PurchaseMarked) == []
    assert [one.time.year for one in await history.shop.all(OrderPlaced)] == [2023]


async def test_only_what_is_past_and_harmless_is_history(history):
    """Who may be written to is said now, and not by a file of last year."""
    event = {"type": "product_viewed", "time": "2024-05-01T12:00:00Z", "visitor_id": "v", "product_id": "p"}
    changes = [
        {"time": "2125-05-01T12:00:00Z"},
        {"time": "1925-05-01T12:00:00Z"},
        {"type": "customer_identified", "email": "a@example.com"},
        {"type": "consent_changed", "channel": "email", "granted": True},
        {"type": "cart_line_added"},
        {"type": "product_listed"},
    ]
    events = [event | change | {"id": f"e{at}"} for at, change in enumerate(changes)]
    headers = {"authorization": f"Bearer {SERVER}"}
    answer = await history.shop.http.post("/v1/history", json={"events": events}, headers=headers)

    paths = [one["path"] for one in answer.json()["rejected"]]
    assert (answer.status_code, paths) == (422, ["$.time"] * 2 + ["$.type"] * 4)


async def test_a_pages_key_imports_nothing(history):
    """History is the shop's word alone."""
    code, said = await history.load(HEAD + "01.07.2025 12:00;u1;s1;1,00\n", key=PAGE)

    assert (code, "401" in said, await history.shop.all(ProductViewed)) == (2, True, [])


async def test_a_column_says_what_a_row_is(history):
    """Rows of kinds that the mapping does not name are listed, not guessed."""
    mapping = VIEWS.replace('type = "product_viewed"', "").replace('source = "old-shop"', "", 1)
    kinds = '{ see = "product_viewed", find = "product_searched" }'
    head = f'source = "old-shop"\ntype = {{ column = "what", values = {kinds} }}'
    rows = [
        "ts;user;sku;preis;what;q",
        "01.07.2025 12:00;u1;s1;1,00;see;",
        "01.07.2025 12:00;u1;;;find;tea",
        "01.07.2025 12:00;u1;;;leave;",
    ]
    code, _ = await history.load("\n".join(rows), f'{head}{mapping}query = "q"\n')

    assert (code, [line for line, _ in history.refused()]) == (1, ["4"])
    assert [one.query for one in await history.shop.events(ProductSearched)] == ["tea"]


@pytest.mark.parametrize(
    ("wrong", "right", "says"),
    [
        ('zone = "Europe/Berlin"', "", "no %z"),
        ('zone = "Europe/Berlin"', 'zone = "Mars"', "no zone"),
        ('"%d.%m.%Y %H:%M"', '"by day"', "time.format"),
        ('[amounts]\ndecimal = "comma"\ncurrency = "EUR"', "", "[amounts]"),
        ('visitor_id = "user"', "", "needs visitor_id"),
        ('price = "preis"', 'prise = "preis"', "prise"),
        ('price = "preis"', 'price = "cost"', "no column cost"),
        ('"product_viewed"', '"customer_identified"', "cannot be imported"),
        ('source = "old-shop"', 'source = ""', "source"),
        ('source = "old-shop"', "source =", "no TOML"),
    ],
)
def test_a_mapping_that_leaves_something_open_is_refused(tmp_path, wrong, right, says):
    """Before anything is sent, with what to write."""
    assert wrong in VIEWS
    (tmp_path / "past.csv").write_text(HEAD + "01.07.2025 12:00;u1;s1;1,00\n", encoding="utf-8")
    (tmp_path / "map.toml").write_text(VIEWS.replace(wrong, right), encoding="utf-8")
    plan = Plan(file=tmp_path / "past.csv", mapping=tmp_path / "map.toml", gateway="http://127.0.0.1:9", key="k")

    with pytest.raises(UnreadableLog) as refused:
        run_import(plan, Console(file=io.StringIO()))

    assert says in str(refused.value)


async def test_a_cart_of_last_year_is_not_left_where_one_of_now_is(open_shop):
    """Both are stored, and long overdue by their times; only the cart of now has a timer that runs out."""
    shop = await open_shop(abandon_after="50ms")
    line = {"product_id": "a", "quantity": 1, "price": {"amount": 1, "currency": "EUR"}}
    cart = {"type": "cart_updated", "visitor_id": "v1", "lines": [line]}
    past = {**cart, "id": "e1", "cart_id": "past", "time": "2024-05-01T12:00:00Z"}
    live = {**cart, "id": "e2", "cart_id": "live", "time": datetime.now(UTC).isoformat()}
    headers = {"authorization": f"Bearer {SERVER}"}
    for path, event in (("/v1/history", past), ("/v1/events", live)):
        assert (await shop.http.post(path, json={"events": [event]}, headers=headers)).status_code == 202
    seen = []

    async def left():
        seen[:] = await shop.events(CartAbandoned)
        return bool(seen)

    await until(left, "the cart of now is not left")
    assert [one.cart_id for one in seen] == ["live"]
    assert {one.cart_id for one in await shop.events(CartUpdated)} == {"past", "live"}
