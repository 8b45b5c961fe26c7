"""Telemetry: structured logs that know their trace, and the Prometheus metrics of the mesh itself."""

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from prometheus_client import Counter, Gauge, Histogram

from mesh.observability.tracing import child_trace as child_trace  # noqa: PLC0414  the services know it by this place
from mesh.observability.tracing import current

_address = re.compile(r"[^\s@<>\"'\\]{1,64}@[^\s@<>\"'\\]{1,255}")

RUNNING = Gauge("cartmesh_service_running", "Whether a service takes work here: 1, or 0 once it drains.", ["service"])
EVENTS = Counter(
    "cartmesh_events_total",
    "Events stored, by who said them and, where the event says so, by outcome.",
    ["service", "type", "outcome"],
)
PUBLISHED = Counter("cartmesh_published_messages_total", "Messages stored.", ["stream"])
PUBLISH_RETRIES = Counter(
    "cartmesh_publish_retries_total", "Stores tried again because JetStream was unavailable.", ["stream"]
)
HANDLED = Counter(
    "cartmesh_handled_messages_total", "Messages answered, by what became of them.", ["durable", "outcome"]
)
HANDLING = Histogram(
    "cartmesh_handling_seconds",
    "Time from a message's delivery to its acknowledgement.",
    ["durable"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
DELAY = Histogram(
    "cartmesh_delivery_delay_seconds",
    "Time from an event's being stored to its first delivery.",
    ["durable"],
    buckets=(0.005, 0.025, 0.1, 0.5, 1, 5, 30, 300, 3600),
)
REQUESTS = Counter("cartmesh_http_requests_total", "Requests answered.", ["service", "route", "status"])
REQUESTING = Histogram(
    "cartmesh_http_request_seconds",
    "Time from a request to the head of its answer.",
    ["service", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
PENDING = Gauge("cartmesh_consumer_pending_messages", "Messages a consumer has not been given yet.", ["durable"])
LAG = Gauge(
    "cartmesh_consumer_lag_messages",
    "Messages a durable has not been given yet, as its leader tells it.",
    ["stream", "durable"],
)
UNANSWERED = Gauge(
    "cartmesh_consumer_unanswered_messages",
    "Messages a durable was given and has not acknowledged, as its leader tells it.",
    ["stream", "durable"],
)
DEAD = Gauge("cartmesh_dead_letters", "Messages that are parked until they are driven again.", ["region"])
NODES = Gauge("cartmesh_nodes", "Servers that hold the region's streams.", ["region"])
NODES_UP = Gauge("cartmesh_nodes_up", "Servers that are up, as the streams' leaders hear them.", ["region"])
STALENESS = Gauge("cartmesh_region_staleness_seconds", "Age of another region's newest heartbeat.", ["region"])


def configure_logs(*, json: bool | None = None, level: str | None = None, to: TextIO | None = None) -> None:
    """Log to stderr: JSON lines where nobody watches, readable lines on a terminal. Level: CARTMESH_LOG_LEVEL."""
    out = to or sys.stderr
    json = not out.isatty() if json is None else json
    chosen = logging.getLevelNamesMapping().get((level or os.environ.get("CARTMESH_LOG_LEVEL", "INFO")).upper(), 20)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _belonging,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _tracebacks if json else structlog.processors.StackInfoRenderer(),
            structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(),
            _without_addresses,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(chosen),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=max(chosen, logging.WARNING), stream=out)


def _without_addresses(_logger: Any, _method: str, line: Any) -> str:
    """The last net: words of other people's errors may hold a shopper's address, or a server's URL its password."""
    return _address.sub("[address]", line) if "@" in line else str(line)


def _belonging(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A line that is written while an event is handled says which, and in whose trace."""
    work = current()
    if work is not None:
        if work.trace is not None:
            line.setdefault("trace_id", work.trace[3:35])
            line.setdefault("span_id", work.trace[36:52])
        if work.event is not None:
            line.setdefault("event_id", work.event)
    return line


# Never with local variables: they hold shoppers' addresses.
_tracebacks = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))

log = structlog.get_logger()
