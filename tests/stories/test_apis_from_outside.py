"""Every HTTP interface does what its OpenAPI document says, whatever it is sent: tried by schemathesis."""

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from functools import partial

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    status_code_conformance,
)

from mesh import Mesh, Money
from mesh.events.code import CodeChanged, Discount
from mesh.events.order import Command
from mesh.events.product import ProductListed
from mesh.events.shipment import ShipmentDispatched, ShipmentRequested
from mesh.runtime.discovery import discover
from mesh.runtime.hosting import hosting
from mesh.runtime.run import running
from mesh.runtime.serving import serving
from mesh.vocabulary import PATTERN
from mesh.web.openapi import undescribed
from mesh.web.signature import TOLERANCE, signature
from notifications.documents.seeding import seed
from notifications.journeys.kind import JOURNEYS
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from services.gateway import Accepted
from services.gateway import app as gateway_app
from services.gateway.live import LiveOffers
from services.orders.app import build as orders_app
from services.orders.taking import NewOrder, WantedLine
from services.orders.views import ORDERS
from services.orders.views.app import build as order_views_app
from services.orders.views.index import OrderIndex, ViewSettings
from services.orders.write import Writer
from services.payments.asking import Asking
from services.payments.sandbox import Sandbox
from services.payments.webhooks import app as webhooks_app
from services.promotions.app import build as promotions_app
from services.promotions.code_key import code_id
from services.promotions.codes import Codes
from services.promotions.promotion_settings import PromotionSettings
from services.stock.app import build as stock_app
from services.stock.auditor import Auditor
from services.stock.stock_settings import StockSettings
from services.stock.writer import StockWriter

KEY, SECRET = "the-shop-server-key", "whsec_0123456789abcdef"
SKIPPED = ("/live", "/v1/cards/", "/v1/updates")
"""Parts of the paths whose responses stay open, and of another name of `/v1/events`."""
APIS = ["gateway", "orders", "order-views", "stock", "payments", "promotions"]


@pytest.fixture
async def ids(mesh, monkeypatch):
    """What there is by an id: two products, one order that was taken, and one that was dispatched."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", KEY)
    monkeypatch.setenv("CARTMESH_KEY_RATE", "1000000")
    monkeypatch.setenv("CARTMESH_HTTP_BODY_DEADLINE", "120s")
    for product_id in ("tea", "cup"):
        await mesh.publish(ProductListed(product_id=product_id, price=Money(amount=1299, currency="EUR")))
    lines = tuple(WantedLine(product_id=product_id, quantity=20) for product_id in ("tea", "cup"))
    new = NewOrder(lines=lines, payment_method="tok", customer_id="ada")
    taken = [await Writer(mesh).create(new, Command(key=order_id, body="b")) for order_id in ("taken", "sent")]
    await mesh.publish(ShipmentRequested(order_id="sent", lines=()))
    await mesh.publish(ShipmentDispatched(order_id="sent"))
    return ["tea", "cup", "ada", *(one.order.order_id for one in taken)]


@pytest.fixture
async def build(mesh, ids, eventually):
    """Each interface by its name, over a region in memory."""
    async with AsyncExitStack() as stack:

        async def gateway():
            accepted = Accepted(await stack.enter_async_context(hosting(discover(), mesh)))
            return gateway_app(mesh, LiveOffers(), accepted)

        async def orders():
            return orders_app(mesh, Writer(mesh))

        async def order_views():
            index = OrderIndex(mesh, ORDERS, ViewSettings(order_views_patience=timedelta(milliseconds=20)))
            following = asyncio.create_task(index.follow())
            stack.callback(following.cancel)
            await eventually(lambda: index.unready() is None)
            return order_views_app(mesh, index)

        async def stock():
            return stock_app(mesh, StockWriter(mesh, StockSettings()), Auditor(mesh))

        async def payments():
            return webhooks_app(mesh, Asking(Sandbox(None)), (SECRET,), TOLERANCE)

        async def promotions():
            codes = Codes(mesh, PromotionSettings(code_refusal_after=timedelta(0), code_guesses=20))
            for code in ids:
                free = CodeChanged(code_id=code_id(code), code=code, state="free", discount=Discount(percent=10))
                await mesh.publish(free)
            return promotions_app(mesh, codes)

        yield dict(zip(APIS, (gateway, orders, order_views, stock, payments, promotions), strict=True))


def tried(url, document, ids, *, headers, examples):
    """The statuses of each operation, after sending the document's examples, what it allows and what it does not.

    Each response must be one that the document describes. `ids` are those that there are.
    """
    sent = {}
    described = {one.ok().label: one.ok() for one in schemathesis.openapi.from_dict(document).get_all_operations()}
    with requests.Session() as session:

        def try_operation(operation, cases, most):
            @hypothesis.settings(
                max_examples=most,
                database=None,
                phases=(Phase.generate,),  # a failure is shown as it is: to make it small takes minutes
                suppress_health_check=list(HealthCheck),
            )
            @hypothesis.given(case=cases)
            def send(case):
                case.headers.update(headers)
                case.headers.pop("Cartmesh-Signature", None)  # a guessed one ends everything
                request = session.prepare_request(requests.Request(**case.as_transport_kwargs(base_url=url)))
                sign(request)
                response = session.send(request, timeout=120)
                sent.setdefault(operation.label, set()).add(response.status_code)
                case.validate_response(response, checks=[status_code_conformance, content_type_conformance])
                assert response.status_code < 500 or "retry-after" in response.headers, response.text
                described[operation.label].validate_response(response)

            with suppress(hypothesis.errors.Unsatisfiable):  # nothing is wrong about a request without parameters
                send()

        for found in schemathesis.openapi.from_dict(with_ids(document, ids)).get_all_operations():
            operation = found.ok()
            if not any(part in operation.path for part in SKIPPED):
                for example in operation.get_strategies_from_examples():
                    try_operation(operation, example, 1)
                for mode in GenerationMode:
                    try_operation(operation, operation.as_strategy(generation_mode=mode), examples)
    return sent


def with_ids(value, ids):
    """A document whose tokens are ids that there are, whose texts are plain, and whose amounts are probable.

    Hardly any other request gets past the first look-up.
    """
    if isinstance(value, list):
        return [with_ids(one, ids) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("pattern") == PATTERN:
        return {"type": "string", "enum": list(ids)}
    if value.get("type") == "string" and not value.keys() & {"pattern", "format", "enum", "const"}:
        return value | {"pattern": "^[ -~]*$"}
    changed = {name: with_ids(one, ids) for name, one in value.items()}
    if isinstance(changed.get("currency"), dict):
        changed |= {"currency": {"enum": ["EUR", "EUR", "JPY", "eur"]}, "amount": {"enum": [1299, 2598, 0, -1]}}
    return changed


def sign(request):
    """As the payment provider does; each on a connection of its own, which nobody closes for being idle."""
    body = request.body or b""
    at = int(time.time())
    given = signature(body.encode() if isinstance(body, str) else body, at, SECRET)
    request.headers.update({"Sandbox-Signature": f"t={at},v1={given}", "Connection": "close"})


async def try_app(app, ids, examples):
    """What each operation of an app answered, by schemathesis in a thread of its own."""
    async with serving(app, "127.0.0.1", 0) as port:
        url = f"http://127.0.0.1:{port}"
        document = (await asyncio.to_thread(requests.get, f"{url}/docs/openapi.json", timeout=120)).json()
        work = partial(tried, url, document, ids, headers={"Authorization": f"Bearer {KEY}"}, examples=examples)
        return document, await asyncio.to_thread(work)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", APIS)
async def test_an_api_answers_as_it_is_described(build, ids, name):
    """A few requests to each operation, right and wrong ones: no defect, and no answer that is not described."""
    app = await build[name]()

    document, sent = await try_app(app, ids, 3)

    if name == "orders":
        assert 201 in sent["POST /v1/orders"]  # an order is taken, and not only refused
    if name != "gateway":
        assert undescribed(app) == []
    silent = {path for path in document["paths"] if not any(part in path for part in SKIPPED)}
    assert {label.partition(" ")[2] for label in sent} == silent


@pytest.mark.drill
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", APIS)
async def test_an_api_answers_as_it_is_described_for_long(build, ids, name):
    """The same with many requests to each operation."""
    await try_app(await build[name](), ids, 60)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("examples", [1, pytest.param(30, marks=pytest.mark.drill)])
async def test_the_document_api_answers_as_it_is_described(mesh, regions, signed_in, examples):
    """With the token of somebody who may publish."""
    for kind in (TEMPLATES, JOURNEYS):
        await seed(kind, "", mesh)
    broker = regions.broker("us")
    headers = await signed_in(mesh, "publisher")
    async with running(studio, Mesh(broker, "studio", others=("eu",)), http=("127.0.0.1", 0)) as run:
        url = f"http://127.0.0.1:{run.port}"
        described = await asyncio.to_thread(
            partial(requests.get, f"{url}/documents/openapi.json", headers=headers, timeout=120)
        )
        sent = await asyncio.to_thread(
            partial(tried, url, described.json(), ["abandoned-cart"], headers=headers, examples=examples)
        )

    assert {status for statuses in sent.values() for status in statuses} >= {200, 404}
    await broker.drain()
