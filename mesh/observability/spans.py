"""Spans: finished ones wait in a bounded list for the process that exports them. Nobody ever waits for it.

On when OpenTelemetry's own variables say so (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/):
`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, unless `OTEL_SDK_DISABLED` is true or
`OTEL_TRACES_EXPORTER` is none. `OTEL_TRACES_SAMPLER` and `_ARG`, `OTEL_BSP_MAX_QUEUE_SIZE` and
`OTEL_BSP_SCHEDULE_DELAY` are obeyed here, all others by the exporter.
"""

import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import IO

import msgspec
from prometheus_client import Counter

from mesh.errors import DeclarationError
from mesh.observability import tracing
from mesh.observability.logs import log
from mesh.observability.tracing import Sampler, Span
from mesh.settings import read

SPANS = Counter("cartmesh_spans_total", "Finished spans, by what became of them.", ["outcome"])
FRAME = 512
"""Spans that travel together."""
CLOSE_WITHIN = 5.0
"""Seconds that the exporter is given to deliver what is left when the service stops."""
RESTART_AFTER = 30.0
"""Seconds until an exporter that died is started again."""


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return False
    return bool(environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def sampler(environment: Mapping[str, str]) -> Sampler:
    """What `OTEL_TRACES_SAMPLER` names; DeclarationError lists those there are."""
    name = environment.get("OTEL_TRACES_SAMPLER") or "parentbased_always_on"
    try:
        ratio = float(environment.get("OTEL_TRACES_SAMPLER_ARG") or 1.0)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise DeclarationError("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1")
    bound = round(ratio * 2**64)
    roots: dict[str, Sampler] = {
        "always_on": lambda _trace, _parent: True,
        "always_off": lambda _trace, _parent: False,
        "traceidratio": lambda trace, _parent: int(trace[16:], 16) < bound,
    }
    root = roots.get(name.removeprefix("parentbased_"))
    if root is None:
        known = ", ".join((*roots, *(f"parentbased_{one}" for one in roots)))
        raise DeclarationError(f"OTEL_TRACES_SAMPLER={name!r} is not known; there are {known}")
    if name.startswith("parentbased_"):
        return lambda trace, parent: root(trace, parent) if parent is None else parent
    return root


class SpanBudget:
    """How many spans a second are exported. Of more, traces are chosen by id: in every process the same ones.

    So a chosen trace stays whole, and tracing never costs more than a few per cent of the work that is traced.
    """

    def __init__(self, spans_per_second: float) -> None:
        self.spans_per_second = spans_per_second
        self._seen, self._since = 0, monotonic()
        self._below = "g"  # behind every hexadecimal digit: all of them

    def admits(self, trace: str) -> bool:
        """Whether a context's trace is one of the chosen."""
        self._seen += 1
        if self._seen & 0xFF == 0:
            self._look()
        return trace[3:11] < self._below

    def _look(self) -> None:
        now = monotonic()
        elapsed = now - self._since
        # A burst is noticed at once, its end after a second.
        if elapsed < 1 and self._seen <= self.spans_per_second:
            return
        share = self.spans_per_second * max(elapsed, 1.0) / self._seen
        below = "g" if share >= 1 else f"{int(share * 2**32):08x}"
        if elapsed >= 1:
            self._below, self._seen, self._since = below, 0, now
        else:
            self._below = min(self._below, below)


class TraceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """CARTMESH_SPANS_PER_SECOND: what one process exports at most; traces above it are left out whole."""

    spans_per_second: float = 250.0


class Spans:
    """The bounded list, and the thread that empties it into the exporter's pipe."""

    def __init__(self, command: list[str], *, most: int = 8192, every: float = 1.0) -> None:
        self._command, self._most, self._every = command, most, every
        self._waiting: list[Span] = []
        self._wake, self._ending = threading.Event(), False
        self._exporter: subprocess.Popen[bytes] | None = None
        self._next_start = 0.0
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._kept, self._dropped = SPANS.labels("handed-over"), SPANS.labels("dropped")

    def start(self) -> None:
        """Begin to hand over."""
        self._thread.start()

    def record(self, span: Span) -> None:
        """Keep a finished span if there is room."""
        if len(self._waiting) >= self._most:
            self._dropped.inc()
            return
        self._waiting.append(span)
        if len(self._waiting) == FRAME:
            self._wake.set()

    def close(self) -> None:
        """Hand over what is left, within `CLOSE_WITHIN` seconds."""
        self._ending = True
        self._wake.set()
        self._thread.join(CLOSE_WITHIN)
        exporter = self._exporter
        if exporter is None:
            return
        if self._thread.is_alive():  # it waits for a pipe that nobody empties
            exporter.kill()
        with suppress(subprocess.TimeoutExpired):
            exporter.wait(CLOSE_WITHIN)
        if exporter.poll() is None:
            exporter.kill()
            exporter.wait()

    def _run(self) -> None:
        while not self._ending:
            self._wake.wait(self._every)
            self._wake.clear()
            self._hand_over()
        self._hand_over()
        if self._exporter is not None and self._exporter.stdin is not None:
            with suppress(OSError):
                self._exporter.stdin.close()

    def _hand_over(self) -> None:
        while waiting := self._waiting[:FRAME]:
            del self._waiting[: len(waiting)]
            frame = msgspec.msgpack.encode(waiting)
            try:
                pipe = self._pipe()
                if pipe is None:
                    self._dropped.inc(len(waiting))
                    continue
                pipe.write(len(frame).to_bytes(4, "big") + frame)
                pipe.flush()
            except OSError as error:
                self._dropped.inc(len(waiting))
                log.warning("spans dropped: their exporter is gone", error=str(error))
            else:
                self._kept.inc(len(waiting))

    def _pipe(self) -> IO[bytes] | None:
        if self._exporter is None or self._exporter.poll() is not None:
            if monotonic() < self._next_start:
                return None
            self._next_start = monotonic() + RESTART_AFTER
            # A session of its own: ctrl-c is for the service, whose last spans are still to come.
            self._exporter = subprocess.Popen(self._command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603  our own
        return self._exporter.stdin


@asynccontextmanager
async def exporting(environment: Mapping[str, str] | None = None) -> AsyncIterator[None]:
    """Export this process's spans until the block ends, if the environment asks for it."""
    import asyncio  # noqa: PLC0415

    settings = os.environ if environment is None else environment
    if not wanted(settings):
        yield
        return
    chosen = sampler(settings)
    spans = Spans(
        [sys.executable, "-m", "mesh.observability.export"],
        most=int(settings.get("OTEL_BSP_MAX_QUEUE_SIZE") or 8192),
        every=int(settings.get("OTEL_BSP_SCHEDULE_DELAY") or 1000) / 1000,
    )
    spans.start()
    tracing.record_with(spans.record, chosen, SpanBudget(read(TraceSettings).spans_per_second).admits)
    try:
        yield
    finally:
        tracing.record_with(None)
        await asyncio.to_thread(spans.close)
