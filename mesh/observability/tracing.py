"""Tracing: which span is active in a task, and in whose trace; finished spans go to a recorder, if there is one.

Contexts are W3C `traceparent`s (https://www.w3.org/TR/trace-context/#traceparent-header) and travel in the envelope:
an event carries the span that published it. Spans follow OpenTelemetry's conventions for messaging. Without
`OTEL_EXPORTER_OTLP_ENDPOINT` only the ids are made. With it a span costs a few microseconds: it is a row in a bounded
list, and a process of its own (mesh.observability.export) makes OTLP of it; what does not fit is dropped and counted.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from time import time_ns
from typing import Literal

import msgspec

Kind = Literal["server", "client", "consumer", "internal"]
_traceparent = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})").match
"""Later versions may append fields: only the beginning counts (section 4.3 of the recommendation)."""
MOST_LINKS = 128


class Span(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A finished span. `trace` is its own context, `parent` and `links` those of others; times are ns."""

    service: str
    name: str
    kind: Kind
    trace: str
    parent: str | None
    began: int
    ended: int
    attributes: dict[str, str | int]
    links: tuple[str, ...] = ()
    failed: str | None = None


@dataclass(slots=True)
class ActiveSpan:
    """A span that has begun: its context, its service, and the id of the event that log lines name.

    `parts` are the contexts of a batch's events, each with the span made for it once something follows from it.
    """

    trace: str | None
    service: str = ""
    event: str | None = None
    parts: dict[str, str | None] = field(default_factory=dict)


Record = Callable[[Span], None]
Sampler = Callable[[str, bool | None], bool]
"""Whether to record a trace (its id in hex), given whether the parent was (None: there is none)."""


class _Recorder:
    """Where finished spans go; nowhere until there is a recorder."""

    record: Record | None = None
    admits: Callable[[str], bool] = staticmethod(lambda _: True)
    sampler: Sampler = staticmethod(lambda _, parent: parent is not False)


_recorder = _Recorder()
_active: ContextVar[ActiveSpan | None] = ContextVar("active_span", default=None)


def record_with(
    record: Record | None, sampler: Sampler | None = None, admits: Callable[[str], bool] | None = None
) -> None:
    """Give every finished and sampled span to `record`, which must be quick; None: to nobody.

    `admits` says of a sampled context whether the budget allows spans of its trace.
    """
    _recorder.record = record
    _recorder.admits = admits or _Recorder.admits
    _recorder.sampler = sampler or _Recorder.sampler


def is_recording() -> bool:
    """Whether spans are recorded in this process."""
    return _recorder.record is not None


def is_recorded(trace: str | None) -> bool:
    """Whether a span of this context would be recorded; asked before its attributes are gathered."""
    return _recorder.record is not None and trace is not None and trace[-1] in "13579bdf" and _recorder.admits(trace)


def current() -> ActiveSpan | None:
    """The active span of this task, if it is traced."""
    return _active.get()


def current_context() -> str | None:
    """The context of the active span of this task, as a `traceparent`; None where nothing is traced."""
    work = _active.get()
    return work.trace if work is not None else None


def enter(work: ActiveSpan) -> "Token[ActiveSpan | None]":
    """Make a span the active one of this task; give the token to `leave`."""
    return _active.set(work)


def leave(token: "Token[ActiveSpan | None]") -> None:
    """The span is no longer active."""
    _active.reset(token)


def child_context(parent: str | None) -> str:
    """The context of a new span that `parent` caused. Without a parent, or with a malformed one, a new trace."""
    found = _traceparent(parent) if parent else None
    if found is None:
        trace, before = secrets.token_hex(16), None
    else:
        trace, before = found[1], bool(int(found[2], 16) & 1)
    return f"00-{trace}-{secrets.token_hex(8)}-{'01' if _recorder.sampler(trace, before) else '00'}"


def child_trace(parent: str | None) -> str:
    """The context for what follows from `parent`: the active span when it is of the same trace, else a new one's."""
    work = _active.get()
    if work is not None and parent is not None:
        if work.parts and parent in work.parts:
            made = work.parts[parent]
            if made is None:
                made = work.parts[parent] = child_context(parent)
            return made
        if work.trace is not None and work.trace[3:35] == parent[3:35]:
            return work.trace
    return child_context(parent)


def trace_id(traceparent: str | None) -> str | None:
    """The trace a context belongs to, as 32 hexadecimal digits; None when it is malformed."""
    found = _traceparent(traceparent) if traceparent else None
    return found[1] if found else None


def record(
    name: str,
    kind: Kind,
    *,
    service: str,
    trace: str | None,
    parent: str | None,
    began: int,
    attributes: Mapping[str, str | int],
    links: Sequence[str] = (),
    failed: str | None = None,
) -> None:
    """Record a span that ends now, if its trace is sampled. `failed` is the kind of failure, never its words.

    Attributes must not say who somebody is: no address, no name, no key.
    """
    if _recorder.record is None or trace is None or not is_recorded(trace):
        return
    parent = parent if parent and _traceparent(parent) else None
    known = tuple(link for link in links[:MOST_LINKS] if _traceparent(link))
    _recorder.record(Span(service, name, kind, trace, parent, began, time_ns(), dict(attributes), known, failed))


@contextmanager
def span(
    name: str,
    kind: Kind,
    *,
    service: str | None = None,
    parent: str | None = None,
    attributes: Mapping[str, str | int] | None = None,
) -> Iterator[ActiveSpan]:
    """A span around a block, as a child of `parent` or else of the active span; what raises has failed."""
    above = _active.get()
    cause = parent or (above.trace if above else None)
    work = ActiveSpan(child_context(cause), service or (above.service if above else ""), above.event if above else None)
    began, failed, token = time_ns(), None, _active.set(work)
    try:
        yield work
    except BaseException as error:
        failed = type(error).__name__
        raise
    finally:
        _active.reset(token)
        record(
            name,
            kind,
            service=work.service,
            trace=work.trace,
            parent=cause,
            began=began,
            attributes=attributes or {},
            failed=failed,
        )
