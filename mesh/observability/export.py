"""Exporting: the process that makes OTLP of a service's spans (`python -m mesh.observability.export`, spans on stdin).

OpenTelemetry's SDK and protobuf live here alone: services neither load them nor share a core's lock with them.
"""

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import BinaryIO

import msgspec
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from mesh.observability.logs import configure_logs, log
from mesh.observability.tracing import Span

_KINDS = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}
_SCOPE = InstrumentationScope("cartmesh")
_frames = msgspec.msgpack.Decoder(list[Span])


def readable(span: Span) -> ReadableSpan:
    """A span as OpenTelemetry's SDK knows it."""
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace, remote=False),
        parent=_context(span.parent, remote=True) if span.parent else None,
        resource=_resource(span.service),
        attributes=span.attributes | ({"error.type": span.failed} if span.failed else {}),
        links=[Link(_context(link, remote=True)) for link in span.links],
        kind=_KINDS[span.kind],
        instrumentation_scope=_SCOPE,
        status=Status(StatusCode.ERROR) if span.failed else Status(),
        start_time=span.began,
        end_time=span.ended,
    )


def frames(source: BinaryIO) -> Iterator[Sequence[Span]]:
    """What `mesh.observability.spans` hands over, until it closes its end."""
    while len(head := source.read(4)) == 4:
        body = source.read(int.from_bytes(head, "big"))
        try:
            yield _frames.decode(body)
        except msgspec.DecodeError:
            return  # cut short by a kill


def export(source: BinaryIO, exporter: SpanExporter) -> None:
    """Export every frame, then end. What the receiver refuses is dropped; the exporter says so in the log."""
    for spans in frames(source):
        exporter.export([readable(span) for span in spans])
    exporter.shutdown()


class _SdkLog(logging.Handler):
    """What OpenTelemetry logs, as lines of our log."""

    def emit(self, record: logging.LogRecord) -> None:
        log.warning("export", logger=record.name, reason=record.getMessage()[:300])


def main() -> None:
    """Export what comes on stdin, behind everybody else in the queue for a core."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end of stdin ends it, and its service closes that last
    os.nice(10)
    configure_logs()
    logging.basicConfig(handlers=[_SdkLog()], level=logging.WARNING, force=True)
    export(sys.stdin.buffer, OTLPSpanExporter())


@cache
def _resource(service: str) -> Resource:
    instance = f"{os.uname().nodename}-{os.getppid()}"
    attributes = {"service.name": service, "service.namespace": "cartmesh", "service.instance.id": instance}
    return Resource.create(attributes)


def _context(traceparent: str, *, remote: bool) -> SpanContext:
    _, trace, span, flags = traceparent[:55].split("-")
    return SpanContext(int(trace, 16), int(span, 16), is_remote=remote, trace_flags=TraceFlags(int(flags, 16)))


if __name__ == "__main__":
    main()
