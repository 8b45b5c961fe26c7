"""What is reported of messages that are handled: spans, counts and times of one durable."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import perf_counter, time, time_ns
from typing import Protocol

from mesh.event import Event, declaration_of
from mesh.observability import metrics, tracing
from mesh.observability.tracing import ActiveSpan


class Handled(Protocol):
    """What is reported of an event: its id, its trace, its type."""

    @property
    def event(self) -> Event: ...  # noqa: D102  see the class

    @property
    def id(self) -> str: ...  # noqa: D102

    @property
    def traceparent(self) -> str | None: ...  # noqa: D102


@dataclass(slots=True)
class Outcome:
    """How handling ended: `failed` is the kind of error, if it was one."""

    failed: str | None = None


class Handling:
    """The telemetry of one durable."""

    def __init__(self, *, service: str, durable: str, stream: str, region: str) -> None:
        self._service, self._durable = service, durable
        self._attributes: dict[str, str | int] = {
            "messaging.system": "nats",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": stream,
            "messaging.consumer.group.name": durable,
            "cartmesh.region": region,
        }
        self._seconds = metrics.HANDLING.labels(durable)
        self._delay = metrics.DELAY.labels(durable)
        self._pending = metrics.PENDING.labels(stream, durable)
        self._done = metrics.HANDLED.labels(durable, "done")
        for outcome in ("failed", "dead_letter"):
            metrics.HANDLED.labels(durable, outcome)  # counted from 0: a first failure shows as an increase

    def done(self) -> None:
        """A message was handled and acknowledged."""
        self._done.inc()

    def answered(self, outcome: str) -> None:
        """Another outcome: `retry`, `failed`, `dead_letter`, `unavailable`, `unknown`, `returned`, or `conflict`."""
        metrics.HANDLED.labels(self._durable, outcome).inc()

    def delivered(self, stored: datetime) -> None:
        """A message that was stored then was delivered for the first time."""
        self._delay.observe(max(0.0, time() - stored.timestamp()))

    def waiting(self, messages: int) -> None:
        """So many messages wait behind those that were fetched."""
        self._pending.set(messages)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measures the time from a delivery to its answer."""
        began = perf_counter()
        try:
            yield
        finally:
            self._seconds.observe(perf_counter() - began)

    @contextmanager
    def span(self, events: Sequence[Handled]) -> Iterator[Outcome]:
        """A span around the handling of one event, or of a batch.

        https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
        """
        outcome, began = Outcome(), time_ns()
        work = self._begin(events)
        token = tracing.enter(work)
        try:
            yield outcome
        except BaseException as error:
            outcome.failed = type(error).__name__
            raise
        finally:
            self._record(work, events, began, outcome.failed)
            tracing.leave(token)

    def _begin(self, events: Sequence[Handled]) -> ActiveSpan:
        """A span in the trace of the one event, or a trace of its own for many."""
        if len(events) == 1:
            return ActiveSpan(tracing.child_context(events[0].traceparent), self._service, events[0].id)
        parts: dict[str, str | None] = {one.traceparent: None for one in events if one.traceparent}
        return ActiveSpan(tracing.child_context(None) if tracing.is_recording() else None, self._service, None, parts)

    def _record(self, work: ActiveSpan, events: Sequence[Handled], began: int, failed: str | None) -> None:
        if not (tracing.is_recorded(work.trace) or work.parts):
            return
        attributes = self._attributes | {"cartmesh.event.type": declaration_of(type(events[0].event)).type}
        parent, links = events[0].traceparent, tuple[str, ...]()
        if len(events) == 1:
            attributes["messaging.message.id"] = events[0].id
        else:
            parent, links = None, tuple(work.parts)
            attributes["messaging.batch.message_count"] = len(events)
        record = partial(
            self._record_one, name=f"process {self._durable}", began=began, attributes=attributes, failed=failed
        )
        record(trace=work.trace, parent=parent, links=links)
        for before, made in work.parts.items():  # what followed from one of many has a span in that one's trace
            if made is not None:
                record(trace=made, parent=before, links=(work.trace,) if work.trace else ())

    def _record_one(
        self,
        *,
        name: str,
        began: int,
        attributes: Mapping[str, str | int],
        failed: str | None,
        trace: str | None,
        parent: str | None,
        links: tuple[str, ...],
    ) -> None:
        tracing.record(
            name,
            "consumer",
            service=self._service,
            trace=trace,
            parent=parent,
            began=began,
            attributes=attributes,
            links=links,
            failed=failed,
        )
