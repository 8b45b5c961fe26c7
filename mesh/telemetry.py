"""Telemetry: structured logs, Prometheus metrics, W3C trace context."""

import logging
import os
import secrets
import sys
from typing import TextIO

import structlog
from prometheus_client import Counter, Gauge, Histogram

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
PENDING = Gauge("cartmesh_consumer_pending_messages", "Messages a consumer has not been given yet.", ["durable"])
STALENESS = Gauge("cartmesh_region_staleness_seconds", "Age of another region's newest heartbeat.", ["region"])


def new_trace() -> str:
    """A fresh `traceparent` (https://www.w3.org/TR/trace-context/#traceparent-header)."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def child_trace(parent: str | None) -> str:
    """The `traceparent` of work that `parent` caused: same trace, new span. A malformed parent starts a new trace."""
    parts = (parent or "").split("-")
    if len(parts) != 4 or len(parts[1]) != 32 or len(parts[2]) != 16:
        return new_trace()
    return f"00-{parts[1]}-{secrets.token_hex(8)}-{parts[3]}"


def configure_logs(*, json: bool | None = None, level: str | None = None, to: TextIO | None = None) -> None:
    """Log to stderr: JSON lines where nobody watches, readable lines on a terminal. Level: CARTMESH_LOG_LEVEL."""
    out = to or sys.stderr
    json = not out.isatty() if json is None else json
    chosen = logging.getLevelNamesMapping().get((level or os.environ.get("CARTMESH_LOG_LEVEL", "INFO")).upper(), 20)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _tracebacks if json else structlog.processors.StackInfoRenderer(),
            structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(chosen),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=max(chosen, logging.WARNING), stream=out)


# Never with local variables: they hold shoppers' addresses.
_tracebacks = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))

log = structlog.get_logger()
