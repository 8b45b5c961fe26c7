"""From the storefront's request to the mail, every event belongs to one trace, here and in other regions."""

import asyncio
import gzip
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import msgspec
import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from mesh.events.cart import CartClosed
from mesh.events.offer import OfferSent
from mesh.operations.causal_tree import forest, tree_lines
from mesh.operations.trace import trace_of
from mesh.runtime.up import Up
from mesh.topology.mesh_toml import Topology

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(200)]

LEFT, BOUGHT = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
BROWSER = "00f067aa0ba902b7"
LINE = {"product_id": "p1", "quantity": 1, "price": {"amount": 4500, "currency": "EUR"}, "name": "Lamp"}
PERSONAL = ("ada.lovelace@example.test", "ada.lovelace", "Lovelace", "+441632960983")
WHO = {"type": "customer_identified", "email": PERSONAL[0], "name": "Ada Lovelace", "locale": "en-GB"}


class Receiver(ThreadingHTTPServer):
    """Takes OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp) and decodes it."""

    def __init__(self):
        self.spans, self.raw = {}, []
        receiver = self

        class Take(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Take)

    def take(self, body):
        self.raw.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans[span.span_id.hex()] = (about["service.name"], span)

    def path(self, span_id):
        """Services and span names from a span up to the first."""
        found = []
        while span_id in self.spans:
            service, span = self.spans[span_id]
            found.append((service, span.name))
            span_id = span.parent_span_id.hex()
        return [*found, span_id]


SELLING = ("carts", "channels", "gateway", "heartbeat", "identity", "offers", "scoring")


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory, receiver):
    """Two regions with what takes part in selling, whose spans go to the receiver."""
    environment = {
        "CARTMESH_ABANDON_AFTER": "1s",
        "CARTMESH_JOURNEY_QUIET": "",
        "CARTMESH_JOURNEY_CONTACT_INTERVAL": "0s",
        "CARTMESH_LOG_LEVEL": "DEBUG",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    directory = tmp_path_factory.mktemp("mesh")
    async with Up(
        Topology.of(["us", "eu"], nodes=1), directory=directory, environment=environment, only=SELLING
    ) as running:
        yield running


async def say(up, region, trace, *events):
    """Send a storefront's events in one request that a browser's span began."""
    now = datetime.now(UTC).isoformat()
    sent = [{"id": f"{trace[:4]}-{one['type']}", "time": now, "visitor_id": "v1", **one} for one in events]
    headers = {"Authorization": "Bearer demo", "traceparent": f"00-{trace}-{BROWSER}-01"}
    async with httpx.AsyncClient(base_url=up.gateway(region), headers=headers, timeout=60) as client:
        answer = await client.post("/v1/events", json={"events": sent})
    assert (answer.status_code, answer.json()["accepted"]) == (202, len(events))


async def until(question, within=60.0):
    """Ask again until the answer is truthy."""
    async with asyncio.timeout(within):
        while not (answer := await question()):  # noqa: ASYNC110  what happens elsewhere sets no event here
            await asyncio.sleep(0.05)
    return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mailed(up):
    """The story of a cart that was left, to its mail; then, on another device, its shopper buys in `eu`."""
    consent = {"type": "consent_changed", "channel": "email", "granted": True}
    await say(up, "us", LEFT, WHO, consent)  # known before the cart's second begins, however busy the machine
    await say(up, "us", LEFT, {"type": "cart_updated", "cart_id": "c1", "lines": [LINE]})
    operator = await up.operator("us")

    async def sent():
        story = await operator.history("c1", "cart", "offer")
        return story if any(one.event.channel == "email" for one in story.of(OfferSent)) else None

    try:
        return await until(sent)
    except TimeoutError:
        story = await operator.history("c1", "cart", "offer")
        raise AssertionError(f"no mail, but {[one.event for one in story]}") from None


async def test_a_left_carts_story_is_one_trace(mailed):
    """The cart, its timer, abandonment, score, decision, claim and mail carry the trace id of the request."""
    kinds = [type(one.event).__name__ for one in mailed]
    assert {"CartUpdated", "CartIdle", "CartAbandoned", "CartScored", "OfferDecided", "OfferClaimed"} <= set(kinds)
    assert {(one.traceparent or "").split("-")[1:2] == [LEFT] for one in mailed} == {True}, kinds


async def test_every_event_carries_the_span_that_published_it(mailed, receiver):
    """The receiver gets each of those spans, and from the mail's they lead back to the browser's own."""
    published = {one.traceparent.split("-")[2] for one in mailed}

    async def all_received():
        return published <= receiver.spans.keys()

    await until(all_received, within=60)
    mail = next(one for one in mailed.of(OfferSent) if one.event.channel == "email")
    path = receiver.path(mail.traceparent.split("-")[2])
    assert path[0] == ("channels", "process channels-send-mail")
    assert path[-3:] == [("carts", "process carts-abandon-cart"), ("gateway", "POST /v1/events"), BROWSER]
    # A score that comes too late is not waited for: then the decision follows from a timer.
    assert {service for service, _ in path[1:-3]} <= {"offers", "scoring"}


async def test_the_mail_and_the_stores_have_spans(mailed, receiver):
    """What waits for another machine is a client's span: handing the mail over, and storing in a stream."""
    mail = next(one for one in mailed.of(OfferSent) if one.event.channel == "email").traceparent.split("-")[2]

    async def parts():
        found = {span.name for _, span in receiver.spans.values() if span.parent_span_id.hex() == mail}
        return found >= {"send mail", "send COMMERCE"}

    await until(parts, within=60)
    kinds = {span.name.split()[0]: span.kind for _, span in receiver.spans.values() if span.name != "send mail"}
    assert kinds == {
        "POST": Span.SPAN_KIND_SERVER,
        "process": Span.SPAN_KIND_CONSUMER,
        "send": Span.SPAN_KIND_CLIENT,
    }


async def test_the_log_alone_tells_the_same(mailed, up):
    """`cartmesh trace` needs no receiver: the tree of causes leads from the cart to the mail."""
    meshes = [await up.operator(region) for region in ("us", "eu")]
    story = await trace_of(meshes, mailed.last(OfferSent).id, since=timedelta(hours=1))

    def paths(branches, above=()):
        for one in branches:
            yield (*above, one.event.type.split(".v")[0])
            yield from paths(one.followed, (*above, one.event.type.split(".v")[0]))

    trees = forest(story.events)
    found = set(paths(trees))
    ways = [way for way in found if way[:3] == ("cart.updated", "cart.idle", "cart.abandoned")]
    assert [way for way in ways if way[-2:] == ("offer.decided", "offer.sent")], "\n".join(tree_lines(trees))


async def test_a_trace_crosses_regions(mailed, up, receiver):
    """A purchase in `eu` closes the cart in `us` within the purchase's trace."""
    order = {"type": "order_placed", "order_id": "o1", "cart_id": "c1", "lines": [LINE], "total": LINE["price"]}
    await say(up, "eu", BOUGHT, order)
    operator = await up.operator("us")
    closed = await until(lambda: operator.last(CartClosed, "c1"))

    async def known():
        return closed.traceparent.split("-")[2] in receiver.spans and len(path()) == 3

    def path():
        return receiver.path(closed.traceparent.split("-")[2])

    await until(known, within=60)
    assert path() == [("carts", "process carts-close-carts-of-buyer"), ("gateway", "POST /v1/events"), BROWSER]
    places = [_place(receiver.spans[closed.traceparent.split("-")[2]][1])]
    assert places == ["us"]


async def test_no_span_and_no_log_says_who(mailed, up, receiver):
    """Mail addresses, names and numbers stay in the streams: no exported byte and no line of any log holds them."""
    logs = [path for path in up.directory.rglob("*.log") if "logs" in path.parts]

    assert len(logs) > 4
    for personal in PERSONAL:
        assert [path.name for path in logs if personal.encode() in path.read_bytes()] == []
        assert [body for body in receiver.raw if personal.encode() in body] == []


async def test_logs_are_json(mailed, up):
    """Every line that a service writes is one JSON object."""
    lines = [line for path in (up.directory / "logs").glob("us-*.log") for line in path.read_bytes().splitlines()]

    assert lines
    assert [line for line in lines if not isinstance(msgspec.json.decode(line), dict)] == []


def _place(span):
    return next(one.value.string_value for one in span.attributes if one.key == "cartmesh.region")
