"""What a span costs a service: OpenTelemetry's SDK in its process, and rows that a process of its own exports."""

import sys
from statistics import median
from time import process_time

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.propagate import extract, inject
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind

from mesh.observability import tracing
from mesh.observability.spans import Spans

SPANS, ROUNDS = 6_000, 7
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ATTRIBUTES = {
    "messaging.system": "nats",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.destination.name": "COMMERCE_us",
    "messaging.consumer.group.name": "carts-abandon-cart",
    "messaging.message.id": "0123456789abcdef0123456789abcdef",
    "cartmesh.region": "us",
    "cartmesh.event.type": "cart.idle.v1",
}


class Encoding(SpanExporter):
    """The SDK's exporter without the network: it makes the bytes and drops them."""

    def export(self, spans):
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


def with_the_sdk(tracer, provider):
    """CPU seconds of this process for spans that follow from a `traceparent` and hand one on."""
    began = process_time()
    for _ in range(SPANS):
        parent = extract({"traceparent": PARENT})
        with tracer.start_as_current_span(
            "process carts-abandon-cart", context=parent, kind=SpanKind.CONSUMER, attributes=ATTRIBUTES
        ):
            inject({})
    provider.force_flush()
    return process_time() - began


def with_rows(spans):
    """The same with rows."""
    tracing.record_with(spans.record)
    began = process_time()
    for _ in range(SPANS):
        with tracing.span(
            "process carts-abandon-cart", "consumer", service="carts", parent=PARENT, attributes=ATTRIBUTES
        ):
            tracing.current_context()
    spans._hand_over()
    took = process_time() - began
    tracing.record_with(None)
    return took


@pytest.mark.drill
def test_rows_cost_a_service_less_than_half_of_the_sdk(capsys):
    """By turns in one process, exporting included: CPU time of the service for each span."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Encoding(), max_queue_size=2 * SPANS))
    spans = Spans([sys.executable, "-c", "import sys\nwhile sys.stdin.buffer.read(65536): pass"], most=2 * SPANS)
    tracer = provider.get_tracer("cartmesh")
    pairs = []
    try:
        pairs += [(with_the_sdk(tracer, provider), with_rows(spans)) for _ in range(ROUNDS)]
    finally:
        tracing.record_with(None)
        spans.start()
        spans.close()
        provider.shutdown()

    sdk, rows = (median(one) / SPANS * 1e6 for one in zip(*pairs, strict=True))
    ratio = median(one / other for one, other in pairs)
    with capsys.disabled():
        print(f"\nCPU for each span: SDK {sdk:.1f} us, rows {rows:.1f} us, {ratio:.1f} times")
    assert ratio > 2
