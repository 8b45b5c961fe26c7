"""What tracing costs a consumer that does nothing else: the worst case."""

import asyncio
import sys
from statistics import median
from time import process_time

import pytest
from nats.aio.client import Client

from mesh import tracing
from mesh.bench import _Bench
from mesh.jetstream import JetStreamBroker
from mesh.local import LocalServers
from mesh.mesh import Mesh
from mesh.spans import Room, Spans, TraceSettings
from mesh.topology import Topology

MESSAGES, ROUNDS = 10_000, 5


@pytest.mark.drill
@pytest.mark.timeout(400)
async def test_tracing_costs_at_most_a_tenth(capsys):
    """By turns in one process, with and without spans: a tenth of the throughput is the most."""
    spans, room = Spans([sys.executable, "-m", "mesh.exporting"]), Room(TraceSettings().spans_per_second)
    spans.start()
    async with LocalServers(Topology.of(["us"], nodes=3)) as servers:
        login, client = servers.credentials("us"), Client()
        await client.connect(list(login.servers), user=login.user, password=login.password)
        broker = await JetStreamBroker.connect("us", login.servers, user=login.user, password=login.password)
        bench = _Bench(client, Mesh(broker, "bench"), MESSAGES)
        took, rates = {False: [], True: []}, {False: [], True: []}
        try:
            await bench.publish_mesh()
            for at in range(4 * ROUNDS):
                traced = at % 4 in (1, 2)  # off on on off: what drifts drifts for both
                tracing.listen(spans.record if traced else None, admits=room.admits)
                began = process_time()
                rate = await bench.consume_mesh()
                if at > 3:  # the first four warm up: imports, the exporter's start
                    took[traced].append((process_time() - began) / MESSAGES * 1e6)
                    rates[traced].append(rate)
        finally:
            tracing.listen(None)
            await asyncio.to_thread(spans.close)
            await broker.drain()
            await client.close()
    # The least of each: what is more than that is other people's work on a busy machine.
    without, with_ = (min(took[traced]) for traced in (False, True))
    with capsys.disabled():
        print(f"\nCPU per message {without:.1f} us, traced {with_:.1f} us: {with_ / without - 1:+.1%}")
        print(f"messages a second {median(rates[False]):,.0f}, traced {median(rates[True]):,.0f}")

    assert median(rates[True]) >= 0.9 * median(rates[False])
