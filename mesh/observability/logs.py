"""Structured logs; each line carries the trace and the event that it belongs to."""

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from mesh.masking import without_addresses
from mesh.observability.tracing import current


def configure_logs(*, json: bool | None = None, level: str | None = None, to: TextIO | None = None) -> None:
    """Log to stderr: JSON lines where nobody watches, readable lines on a terminal. Level: CARTMESH_LOG_LEVEL."""
    out = to or sys.stderr
    json = not out.isatty() if json is None else json
    chosen = logging.getLevelNamesMapping().get((level or os.environ.get("CARTMESH_LOG_LEVEL", "INFO")).upper(), 20)
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _belonging,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tracebacks if json else structlog.processors.StackInfoRenderer(),
    ]
    last: list[Processor] = [
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(),
        _without_addresses,
    ]
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(chosen),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    # What libraries log by the standard library, such as nats-py, is written in the same way.
    handler = logging.StreamHandler(out)
    named = [structlog.stdlib.add_logger_name, *first, structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[*named, *last]))
    handler.addFilter(_means_something)
    logging.basicConfig(level=max(chosen, logging.WARNING), handlers=[handler])


def _means_something(record: logging.LogRecord) -> bool:
    """Not so what asyncio says whenever a connection over TLS ends, as nats-py ends it."""
    return not record.getMessage().startswith("returning true from eof_received()")


def _without_addresses(_logger: Any, _method: str, line: Any) -> str:
    """The last check: errors of libraries may hold a shopper's address, or a server's URL its password."""
    return without_addresses(str(line))


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
