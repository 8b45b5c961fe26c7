"""What somebody can do to the interfaces of orders, stock and payments who has no key of the shop's servers, or one."""

import asyncio
import hmac
import json
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from hashlib import sha256

import httpx
import msgspec
import pytest
from litestar.testing import AsyncTestClient

from mesh import Mesh, Money
from mesh.events.order import OrderCancelled, OrderCreated, OrderDeliveryAddressed
from mesh.events.payment import PaymentAuthorisationRequested, PaymentAuthorised, PaymentCaptured
from mesh.events.product import ProductListed
from mesh.events.stock import (
    StockCommandApplied,
    StockLevelChanged,
    StockLoanGranted,
    StockLoanReceived,
    StockLoanRequested,
    StockTaken,
)
from mesh.runtime.serving import serving
from mesh.web.signature import BadSignature, signature, verify
from services.orders.app import build as orders_app
from services.orders.views import ORDERS
from services.orders.views.app import build as order_views_app
from services.orders.views.index import OrderIndex, ViewSettings
from services.orders.write import Writer
from services.payments.asking import Asking
from services.payments.fold import ANSWERS
from services.payments.sandbox import Sandbox
from services.payments.webhooks import PATH
from services.payments.webhooks import app as webhooks_app
from services.stock.app import build as stock_app
from services.stock.auditor import Auditor
from services.stock.lending import receive
from services.stock.stock_settings import StockSettings
from services.stock.writer import StockWriter

KEY = {"Authorization": "Bearer the-shop-server-key"}
SECRET = "whsec_0123456789abcdef"
PATIENCE = 60
ADDRESS = {"name": "Ada", "street": "1 Main St", "postal_code": "10115", "city": "Berlin", "country": "DE"}
ORDER = {"lines": [{"product_id": "tea", "quantity": 2}], "payment_method": "tok_visa", "visitor_id": "v1"}
UNITS = {"id": "c1", "sku": "s1", "warehouse": "w1", "quantity": 5}
ROUTES = [
    ("orders", "POST", "/v1/orders", ORDER),
    ("orders", "POST", "/v1/orders/o1/cancellation", {}),
    ("orders", "POST", "/v1/orders/o1/returns", {"lines": [{"product_id": "tea", "quantity": 1}]}),
    ("orders", "PUT", "/v1/orders/o1/address", ADDRESS),
    ("orders", "GET", "/v1/orders/o1/history", None),
    ("order-views", "GET", "/v1/orders/o1", None),
    ("order-views", "GET", "/v1/orders", None),
    ("order-views", "GET", "/v1/customers/k1/orders", None),
    ("order-views", "GET", "/v1/orders/o1/live", None),
    ("order-views", "GET", "/v1/orders/live", None),
    ("stock", "POST", "/v1/stock/receive", UNITS),
    ("stock", "POST", "/v1/stock/adjust", UNITS),
    ("stock", "GET", "/v1/stock/s1", None),
    ("stock", "GET", "/v1/stock/audit", None),
]


def euros(amount):
    return Money(amount=amount, currency="EUR")


@pytest.fixture
def interfaces(mesh, monkeypatch):
    """The HTTP interfaces of a region in memory, by service."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", "the-shop-server-key")
    read = Mesh(mesh.broker, "order-views")
    return {
        "orders": orders_app(mesh, Writer(mesh)),
        "order-views": order_views_app(read, OrderIndex(read, ORDERS, ViewSettings(order_views_pages=2))),
        "stock": stock_app(mesh, StockWriter(mesh, StockSettings()), Auditor(mesh)),
    }


@pytest.fixture
async def shop(mesh, interfaces):
    """A client of orders. The catalogue has tea, a gift, and what a mistake has listed."""
    for name, price in (("tea", 1299), ("gift", 0), ("mistake", -500), ("island", 10**12)):
        await mesh.publish(ProductListed(product_id=name, price=euros(price)))
    async with AsyncTestClient(interfaces["orders"]) as client:
        yield client


async def order(client, key="k1", **changes):
    return await client.post("/v1/orders", json=ORDER | changes, headers=KEY | {"Idempotency-Key": key})


@pytest.mark.parametrize(("service", "method", "path", "body"), ROUTES)
async def test_without_a_servers_key_nothing_is_read_or_changed(mesh, interfaces, service, method, path, body):
    """Neither with none, nor with a page's, nor with one in the address, where pages send theirs."""
    async with AsyncTestClient(interfaces[service]) as client:
        for given, params in (({}, {}), ({"Authorization": "Bearer demo"}, {}), ({}, {"key": "the-shop-server-key"})):
            answer = await client.request(
                method, path, json=body, params=params, headers=given | {"Idempotency-Key": "k1"}
            )

            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    stored = (OrderCreated, OrderCancelled, OrderDeliveryAddressed, StockCommandApplied)
    assert [one for kind in stored async for one in mesh.read(kind)] == []


@pytest.mark.parametrize(
    ("service", "path"),
    [("orders", "/v1/orders"), ("orders", "/v1/orders/o1/cancellation"), ("stock", "/v1/stock/count")],
)
async def test_a_body_of_ten_megabytes_is_refused(interfaces, service, path):
    """413, with a key too."""
    async with AsyncTestClient(interfaces[service]) as client:
        answer = await client.post(path, content=b" " * 10_000_000, headers=KEY | {"Idempotency-Key": "k1"})

    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("product", "words"),
    [("gift", "cost 0.00 EUR"), ("mistake", "below zero"), ("island", "cannot be charged")],
)
async def test_what_cannot_be_charged_is_not_ordered(shop, mesh, product, words):
    """Nothing, less than nothing, and more than any card holds; a gift beside something else is welcome."""
    refused = await order(shop, lines=[{"product_id": product, "quantity": 2}])
    beside = await order(shop, key="k2", lines=[{"product_id": "gift", "quantity": 1}, *ORDER["lines"]])

    assert (refused.status_code, words in refused.json()["detail"]) == (422, True)
    assert beside.status_code == 201
    assert [one.event.total async for one in mesh.read(OrderCreated)] == [euros(2598)]


@pytest.mark.parametrize("method", ["4111111111111111", "4111 1111 1111 1111", "3782-822463-10005"])
async def test_a_cards_number_is_never_stored(shop, mesh, method):
    """Events are kept for long, and are copied to other regions: the provider's token alone may stand in them."""
    refused = await order(shop, payment_method=method)
    token = await order(shop, key="k2", payment_method="4111111111111112")

    assert (refused.status_code, method in refused.text) == (422, False)
    assert token.status_code == 201
    assert [one.event.payment_method async for one in mesh.read(OrderCreated)] == ["4111111111111112"]


@pytest.mark.parametrize("name", ["Ada\x00", "Ada\uffff", "Ada\x1b[2J", "  "])
async def test_an_address_holds_no_text_that_no_mail_or_label_may_hold(shop, mesh, name):
    """It is refused with its place, and nothing is stored."""
    refused = await order(shop, address=ADDRESS | {"name": name})

    assert (refused.status_code, "address.name" in refused.json()["detail"]) == (422, True)
    assert [one async for one in mesh.read(OrderCreated)] == []


async def test_a_line_break_gets_into_no_mail(shop, mesh):
    """What is stored of an untidy address is one line each."""
    address = ADDRESS | {"name": " Ada\r\nBcc: eve@evil.example ", "email": "ada@b.example\n"}
    order_id = (await order(shop, address=address)).json()["order"]["order_id"]

    kept = (await mesh.history(order_id, OrderDeliveryAddressed)).last(OrderDeliveryAddressed).event

    assert (kept.name, kept.email) == ("Ada Bcc: eve@evil.example", "ada@b.example")


async def test_nobody_passes_as_the_checkout(shop, mesh):
    """Who cancels is the customer or the shop; that a checkout did stands only in what it did itself."""
    order_id = (await order(shop)).json()["order"]["order_id"]

    headers = KEY | {"Idempotency-Key": "c1"}
    refused = await shop.post(f"/v1/orders/{order_id}/cancellation", json={"by": "checkout"}, headers=headers)

    assert (refused.status_code, "$.by" in refused.json()["detail"]) == (422, True)
    assert await mesh.all_of(OrderCancelled, order_id) == []


async def test_open_pages_keep_nobody_from_reading_orders(interfaces):
    """As many streams as may be open; one more is refused, one without a key takes no place, and reading goes on."""
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(interfaces["order-views"], "127.0.0.1", 0))

        async def opened(key):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            head = f"GET /v1/orders/live HTTP/1.1\r\nHost: orders\r\nAuthorization: Bearer {key}\r\n\r\n"
            writer.write(head.encode())
            async with asyncio.timeout(PATIENCE):
                status = int((await reader.readline()).split()[1])
                if status == 200:
                    await reader.readuntil(b"retry:")  # its place is taken
                return status

        statuses = [
            await opened(key) for key in ("demo", "the-shop-server-key", "the-shop-server-key", "the-shop-server-key")
        ]
        for _ in range(100):
            _, idle = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(idle.close)

        async with httpx.AsyncClient(timeout=PATIENCE, headers=KEY) as client:
            read = await client.get(f"http://127.0.0.1:{port}/v1/orders")
        assert (statuses, read.status_code) == ([401, 200, 200, 429], 200)


@pytest.fixture
async def provider_calls(mesh):
    """Sends a webhook as whoever knows a secret does; the payment `p1` is authorised as the provider's charge ch_1."""
    await mesh.publish(
        PaymentAuthorisationRequested(
            payment_id="p1", order_id="o1", amount=euros(4200), method="tok_visa", idempotency_key="a"
        )
    )
    app = webhooks_app(mesh, Asking(Sandbox(None)), (SECRET,), timedelta(minutes=5))
    async with AsyncTestClient(app) as client:

        async def call(secret=SECRET, header=None, body=None, **charge):
            known = {"id": "ch_1", "reference": "p1", "order": "o1", "region": "us", "currency": "EUR"}
            amounts = {"authorised": 4200, "captured": 0, "released": 0, "refunded": 0}
            sent = {"id": f"evt_{time.time_ns()}", "type": "charge.updated", "charge": {**known, **amounts, **charge}}
            sent["charge"]["created"] = "2026-05-01T12:00:00Z"
            content, at = body or json.dumps(sent).encode(), int(time.time())
            signed = hmac.new(secret.encode(), b"%d.%s" % (at, content), sha256).hexdigest()
            headers = {"Sandbox-Signature": header or f"t={at},v1={signed}"}
            return await client.post(PATH, content=content, headers=headers)

        yield call


async def answered(mesh):
    return [type(one.event) for one in await mesh.history("p1", *ANSWERS)]


async def test_a_second_charge_is_no_part_of_a_payment(mesh, provider_calls):
    """One that names the payment, signed as it is, pays for nothing: the daily comparison with the books shows it."""
    first = await provider_calls()
    other = await provider_calls(id="ch_2", captured=4200)
    same = await provider_calls(captured=4200)

    assert [one.status_code for one in (first, other, same)] == [200] * 3
    assert other.json() == {"stored": [], "note": "another charge than this payment's"}
    assert await answered(mesh) == [PaymentAuthorised, PaymentCaptured]


async def test_a_webhook_of_ten_megabytes_is_refused(mesh, provider_calls):
    """Before anything is computed from it, signed or not."""
    for secret in (SECRET, "guessed"):
        assert (await provider_calls(secret, body=b" " * 10_000_000)).status_code == 413
    assert await answered(mesh) == []


async def test_a_header_full_of_signatures_is_not_worked_through(mesh, provider_calls):
    """Anybody can send one: it is refused for their number, also where the right one is among them."""
    many = ",".join(f"v1={number:064x}" for number in range(5000))

    refused = await provider_calls(header=f"t={int(time.time())},{many}")

    assert (refused.status_code, "more than 8" in refused.json()["detail"]) == (400, True)
    assert await answered(mesh) == []


def test_a_body_is_signed_once_for_each_secret(monkeypatch):
    """However many signatures a header has: what a stranger's request costs does not grow with them."""
    counted = []
    monkeypatch.setattr("mesh.web.signature.signature", lambda *given: counted.append(given[2]) or signature(*given))

    with pytest.raises(BadSignature):
        verify(b"{}", "t=1," + ",".join(["v1=00"] * 8), ["one", "two"])

    assert counted == ["one", "two"]


@pytest.mark.parametrize(
    "changed",
    [
        {"loan_id": "invented"},
        {"sku": "s2"},
        {"lender": "ap"},
        {"taken": (StockTaken(sku="s1", warehouse="w1", quantity=4),)},
        {"taken": (StockTaken(sku="s1", warehouse="w1", quantity=-1),)},
    ],
)
async def test_units_of_a_loan_count_as_they_were_requested(mesh, changed):
    """What another region says that it lends, unasked or otherwise than asked, becomes nobody's stock here."""
    writer = StockWriter(mesh, StockSettings())
    await mesh.publish(StockLoanRequested(loan_id="l1", sku="s1", quantity=3, borrower="us", lender="eu"))
    taken = (StockTaken(sku="s1", warehouse="w1", quantity=3),)
    loan = StockLoanGranted(loan_id="l1", sku="s1", quantity=3, borrower="us", lender="eu", taken=taken)

    await receive(msgspec.structs.replace(loan, **changed), writer, "g1")

    assert [one async for one in mesh.read(StockLoanReceived, StockLevelChanged)] == []
    await receive(loan, writer, "g2")
    assert (await mesh.last(StockLevelChanged, "s1")).event.available == 3
