"""Spans are quick to record, sampled as the environment says, and never in anybody's way."""

import io
import json
import subprocess
import sys
import time
from datetime import datetime, timedelta

import msgspec
import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind

from mesh.errors import DeclarationError
from mesh.events.cart import CartClosed, CartIdle, CartUpdated
from mesh.events.mesh import MeshHeartbeat
from mesh.observability import tracing
from mesh.observability.export import export
from mesh.observability.logs import configure_logs, log
from mesh.observability.spans import SpanBudget, Spans, exporting, sampler, wanted
from mesh.observability.tracing import Span, child_context, child_trace, span, trace_id
from mesh.publish import Cause, Draft
from mesh.runtime.run import running
from mesh.service import Service

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def recorded():
    """Every span of the test."""
    found = []
    tracing.record_with(found.append)
    yield found
    tracing.record_with(None)


def test_a_child_stays_in_the_trace():
    """Same trace and flags, a span of its own; a malformed parent begins a new trace."""
    child = child_context(PARENT)

    assert (child[:36], child[-3:], len(child)) == (PARENT[:36], "-01", 55)
    assert child != child_context(PARENT)
    for malformed in (None, "", "00-aa-bb-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", PARENT.upper(), f"ff{PARENT[2:]}"):
        assert trace_id(child_context(malformed)) not in (None, TRACE)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_only_the_standard_variables_turn_it_on(environment, expected):
    """Without an endpoint, or where it is switched off, nothing is exported."""
    assert wanted(environment) == expected


@pytest.mark.parametrize(
    ("name", "argument", "root", "sampled_parent", "unsampled_parent"),
    [
        ("", "", True, True, False),
        ("always_on", "", True, True, True),
        ("always_off", "", False, False, False),
        ("traceidratio", "0", False, False, False),
        ("traceidratio", "1", True, True, True),
        ("parentbased_always_off", "", False, True, False),
        ("parentbased_traceidratio", "0", False, True, False),
    ],
)
def test_samplers_are_opentelemetrys(name, argument, root, sampled_parent, unsampled_parent):
    """Named and behaving as OpenTelemetry's SDK says."""
    sampled = sampler({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})

    assert [sampled(TRACE, parent) for parent in (None, True, False)] == [root, sampled_parent, unsampled_parent]


def test_a_ratio_is_kept():
    """A quarter of new traces is recorded where a quarter is asked for, always the same ones."""
    sampled = sampler({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"})
    traces = [trace_id(child_context(None)) for _ in range(4000)]

    kept = [trace for trace in traces if sampled(trace, None)]

    assert 800 < len(kept) < 1200
    assert kept == [trace for trace in traces if sampled(trace, None)]


@pytest.mark.parametrize(
    "environment",
    [{"OTEL_TRACES_SAMPLER": "sometimes"}, {"OTEL_TRACES_SAMPLER_ARG": "2"}, {"OTEL_TRACES_SAMPLER_ARG": "x"}],
)
def test_a_wrong_sampler_is_refused(environment):
    """A sampler nobody knows, or a ratio that is none, is an error that names the variable."""
    with pytest.raises(DeclarationError, match="OTEL_TRACES_SAMPLER"):
        sampler(environment)


def test_in_a_flood_the_same_traces_are_chosen_everywhere():
    """Above what is welcome a share is left out by trace id, so that what remains is whole across processes."""
    floods = [
        [f"00-{at * 2_654_435_761 % 2**32:08x}{'0' * 24}-{'b' * 16}-01" for at in range(20_000)] for _ in range(2)
    ]
    rooms = [SpanBudget(1_000), SpanBudget(4_000)]

    few, many = ([trace for trace in flood if room.admits(trace)] for room, flood in zip(rooms, floods, strict=True))

    late = set(floods[0][10_000:])
    assert len(few) < len(many) < 16_000
    assert late.intersection(few) <= late.intersection(many)
    assert all(SpanBudget(1_000).admits(trace) for trace in floods[0][:200])


def test_an_unsampled_trace_costs_nothing(recorded):
    """Its context goes on, and nothing of it is recorded."""
    with span("x", "client", service="s", parent=f"{PARENT[:-2]}00") as work:
        pass

    assert (work.trace[-2:], recorded) == ("00", [])


def test_what_raises_has_failed(recorded):
    """A span that ends in an error says which kind, and nothing of its words."""
    with pytest.raises(ValueError, match="secret"), span("x", "client", service="s", parent=PARENT):
        raise ValueError("secret")

    assert [one.failed for one in recorded] == ["ValueError"]


async def test_a_handler_is_a_span_of_its_events_trace(mesh, recorded, eventually):
    """The event a handler publishes carries the handler's span, whose parent is the span in the event it was given."""
    service = Service("closer", publishes=(CartClosed,))

    @service.on(CartUpdated)
    async def close_cart(updated: CartUpdated):
        yield CartClosed(cart_id=updated.cart_id, visitor_id="v1", order_id="o1", region="us")

    async with running(service, mesh):
        await mesh.commit([Draft(event=_cart("c1"), id="e1")], Cause(id="e1", source="x", traceparent=PARENT))
        closed = await eventually(lambda: mesh.last(CartClosed, "c1"))

    by_name = {one.name: one for one in recorded}
    process = by_name["process closer-close-cart"]
    assert (closed.traceparent, process.trace, process.parent, process.kind) == (
        process.trace,
        process.trace,
        PARENT,
        "consumer",
    )
    assert (closed.cause, process.attributes["messaging.message.id"]) == ("e1", "e1")
    assert by_name["send COMMERCE"].parent == process.trace


async def test_a_batch_links_to_its_events(mesh, recorded, eventually):
    """A batch is a trace of its own with a link to each of its events; what follows from one has a span in that's."""
    service, made = Service("batcher", publishes=(CartClosed,)), []
    other = f"00-{'c' * 32}-{'d' * 16}-01"

    @service.on(CartUpdated, batch=8, linger=timedelta(milliseconds=200))
    async def look_at(updates: list[CartUpdated]) -> None:
        made.append((len(updates), child_trace(other)))

    for at, parent in enumerate((PARENT, other)):
        await mesh.commit([_cart(f"c{at}")], Cause(id=f"e{at}", source="x", traceparent=parent))
    async with running(service, mesh):
        await eventually(lambda: made)

    (batch,) = [one for one in recorded if one.parent is None]
    (part,) = [one for one in recorded if one.parent == other]
    assert made == [(2, part.trace)]
    assert (set(batch.links), part.links, trace_id(part.trace)) == ({PARENT, other}, (batch.trace,), "c" * 32)


async def test_what_a_tick_says_begins_a_trace(mesh, recorded, eventually):
    """A tick's event carries the tick's span, the root of a new trace; heartbeats, which nobody keeps, have none."""
    service = Service("ticker", publishes=(CartClosed, MeshHeartbeat))

    @service.every(timedelta(milliseconds=50))
    async def close_cart(_: datetime):
        yield CartClosed(cart_id="c1", visitor_id="v1", order_id="o1", region="us")

    @service.every(timedelta(milliseconds=50))
    async def beat(at: datetime):
        yield MeshHeartbeat(region="us", at=at)

    async with running(service, mesh):
        closed = await eventually(lambda: mesh.last(CartClosed, "c1"))
        beaten = await eventually(lambda: mesh.last(MeshHeartbeat, "us"))

    ticks = {one.trace: one for one in recorded if one.name == "tick ticker-close-cart"}
    assert (ticks[closed.traceparent].parent, ticks[closed.traceparent].kind) == (None, "internal")
    assert beaten.traceparent is None
    assert {one.name for one in recorded} == {"tick ticker-close-cart", "send COMMERCE"}


def test_the_sdk_stays_out_of_services():
    """A process that is not asked for traces loads nothing of OpenTelemetry."""
    code = "import sys, mesh.runtime.worker; print([name for name in sys.modules if name.startswith('opentelemetry')])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"


def test_a_full_list_drops_and_nobody_waits(monkeypatch):
    """With an exporter that takes nothing, recording stays quick, memory bounded, and closing ends in time."""
    monkeypatch.setattr("mesh.observability.spans.CLOSE_WITHIN", 0.3)
    spans = Spans([sys.executable, "-c", "import time; time.sleep(60)"], most=1000, every=0.01)
    spans.start()
    one = Span("s", "x", "client", PARENT, None, 1, 2, {"a": "b" * 1000})
    began = time.perf_counter()

    for _ in range(20_000):
        spans.record(one)

    took = time.perf_counter() - began
    assert took < 5
    assert len(spans._waiting) <= 1000
    began = time.perf_counter()
    spans.close()
    assert time.perf_counter() - began < 8
    assert spans._exporter.poll() is not None


async def test_an_exporter_that_dies_is_survived(capfd):
    """Whatever becomes of the exporter, the service goes on and ends."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "10"}

    async with exporting(environment):
        assert tracing.is_recording()
        with span("x", "client", service="s", parent=PARENT):
            pass

    assert not tracing.is_recording()


def test_frames_become_opentelemetrys_spans():
    """Ids, times, kind, links, service and failure arrive as they were; a frame cut short ends it."""
    kept = []

    class Keep(SpanExporter):
        def export(self, spans):
            kept.extend(spans)
            return SpanExportResult.SUCCESS

    exported = Span(
        "carts", "process x", "consumer", child_context(PARENT), PARENT, 1, 5, {"a": 1}, (PARENT,), "KeyError"
    )
    frame = msgspec.msgpack.encode([exported])

    export(io.BytesIO(len(frame).to_bytes(4, "big") + frame + b"\x00\x00\x01\x00cut"), Keep())

    (found,) = kept
    assert (format(found.context.trace_id, "032x"), format(found.context.span_id, "016x")) == (
        TRACE,
        exported.trace[36:52],
    )
    assert (format(found.parent.span_id, "016x"), found.kind, found.start_time, found.end_time) == (
        "00f067aa0ba902b7",
        SpanKind.CONSUMER,
        1,
        5,
    )
    assert (found.resource.attributes["service.name"], dict(found.attributes)) == (
        "carts",
        {"a": 1, "error.type": "KeyError"},
    )
    assert len(found.links) == 1


async def test_a_line_knows_its_event(mesh, eventually):
    """What is logged while an event is handled carries its id and trace, failures included, and no address."""
    written, service, seen = io.StringIO(), Service("noisy"), []
    configure_logs(json=True, level="INFO", to=written)

    @service.on(CartIdle, retries=1)
    async def complain(idle: CartIdle) -> None:
        log.info("looking", cart=idle.cart_id)
        seen.append(idle)
        raise RuntimeError("cannot write to ada@example.test")

    try:
        async with running(service, mesh):
            cause = Cause(id="e1", source="x", traceparent=PARENT)
            await mesh.commit([Draft(event=CartIdle(cart_id="c1", update_id="u1"), id="e1")], cause)
            await eventually(lambda: written.getvalue().count("\n") >= 2)
    finally:
        configure_logs(json=False)

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [(line["event"], line["trace_id"], line["event_id"]) for line in lines] == [
        ("looking", TRACE, "e1"),
        ("failed", TRACE, "e1"),
    ]
    assert {len(line["span_id"]) for line in lines} == {16}
    assert "ada@example.test" not in written.getvalue()
    assert "cannot write to [address]" in written.getvalue()


def _cart(key):
    return CartUpdated(cart_id=key, visitor_id="v1", lines=())
