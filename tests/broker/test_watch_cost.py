"""What tracing costs a consumer that does nothing else: the worst case."""

import asyncio
import contextlib
import gc
import subprocess
import sys
from dataclasses import dataclass, field
from math import comb
from statistics import median
from time import process_time

import pytest

from mesh.broker.jetstream import JetStreamBroker
from mesh.broker.raw import RawClient
from mesh.mesh import Mesh
from mesh.observability import tracing
from mesh.observability.spans import SpanBudget, Spans, TraceSettings
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.ports import free_ports
from mesh.topology.mesh_toml import Topology
from services.demo.bench.library import Contest

# Long runs: a rush is traced more in its first second than ever after (`mesh.observability.spans.SpanBudget`).
MESSAGES, BLOCKS = 30_000, 8
# In a process of its own, as a collector is; a line for each request.
COLLECTOR = """
import http.server, sys
class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        print(flush=True)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Collector).serve_forever()
"""


@dataclass(frozen=True)
class Costs:
    """What one measure took in each run, block by block, in the order off, on, on, off."""

    blocks: list[tuple[float, ...]] = field(default_factory=list)

    @property
    def paired(self) -> list[float]:
        """The cost by each block alone: what drifts steadily drifts for both alike."""
        return [(on + on_again) / (off + off_again) - 1 for off, on, on_again, off_again in self.blocks]

    @property
    def undisturbed(self) -> float:
        """The cost by the fastest quarter of all runs: what others do to a machine only ever adds."""
        offs = sorted(took for block in self.blocks for took in (block[0], block[3]))
        ons = sorted(took for block in self.blocks for took in block[1:3])
        return sum(ons[: len(ons) // 4]) / sum(offs[: len(offs) // 4]) - 1

    def __str__(self) -> str:
        low, high = _interval(self.paired)
        noise = median(abs(block[3] / block[0] - 1) for block in self.blocks)
        return (
            f"{self.undisturbed:+.1%} by the fastest quarter; {median(self.paired):+.1%} by pairs "
            f"(95 % sure: {low:+.1%} to {high:+.1%}); two runs without differ by {noise:.1%}"
        )


def _interval(values: list[float]) -> tuple[float, float]:
    """Where the median lies with 95 % confidence whatever the noise is like: order statistics, by the binomial."""
    ordered, count = sorted(values), len(values)
    outside, rank = 0.0, 0
    while outside + 2 * comb(count, rank) / 2**count <= 0.05:
        outside += 2 * comb(count, rank) / 2**count
        rank += 1
    return ordered[max(0, rank - 1)], ordered[min(count - 1, count - rank)]


@contextlib.contextmanager
def collector():
    """What the exporter reports of its spans."""
    (port,) = free_ports(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        with subprocess.Popen([sys.executable, "-c", COLLECTOR, str(port)], stdout=subprocess.PIPE) as process:
            try:
                yield process
            finally:
                process.kill()


@contextlib.asynccontextmanager
async def bench():
    """A region of three servers, its stream filled, and what reads it."""
    async with LocalServers(Topology.of(["us"], nodes=3)) as servers:
        login = servers.credentials("us")
        broker = await JetStreamBroker.connect("us", login.servers, user=login.user, password=login.password)
        try:
            async with RawClient.connect(login) as raw:
                filled = Contest(raw, Mesh(broker, "bench"), MESSAGES)
                await filled.publish_mesh()
                yield filled
        finally:
            await broker.drain()


@pytest.mark.drill
@pytest.mark.timeout(900)
async def test_tracing_costs_at_most_a_tenth(capsys):
    """By turns in one process, with and without spans, each compared with its neighbours: at most a tenth more time."""
    spans, budget = (
        Spans([sys.executable, "-m", "mesh.observability.export"]),
        SpanBudget(TraceSettings().spans_per_second),
    )
    clock, cpu, rates = Costs(), Costs(), {False: [], True: []}
    with collector() as collecting:
        spans.start()
        try:
            async with bench() as filled:

                async def run(*, traced: bool) -> tuple[float, float]:
                    gc.collect()
                    tracing.record_with(spans.record if traced else None, admits=budget.admits)
                    began = process_time()
                    rate = await filled.consume_mesh()
                    rates[traced].append(rate)
                    return 1 / rate, process_time() - began

                # Warm up: imports, caches, and the exporter, which takes a core to itself while it starts.
                await run(traced=True)
                await asyncio.to_thread(collecting.stdout.readline)
                rates[True].clear()
                for _ in range(BLOCKS):
                    took = [await run(traced=traced) for traced in (False, True, True, False)]
                    clock.blocks.append(tuple(wall for wall, _ in took))
                    cpu.blocks.append(tuple(work for _, work in took))
        finally:
            tracing.record_with(None)
            await asyncio.to_thread(spans.close)
    with capsys.disabled():
        print(f"\nmessages a second {median(rates[False]):,.0f}, traced {median(rates[True]):,.0f}")
        print(f"time per message {clock}\nCPU per message {cpu}")

    assert clock.undisturbed <= 0.1 / 0.9  # a tenth less throughput
