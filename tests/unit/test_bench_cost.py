"""The cost card: what an event costs is what was counted, less what an idle region does by itself."""

from services.demo.bench.cost import Counts, cost, figures

BEFORE = Counts(
    stored={"COMMERCE_us": 100, "MESH_us": 40, "KV_carts": 7},
    delivered=50,
    acknowledged=45,
    servers_cpu=1.0,
    services_cpu=2.0,
)
AFTER = Counts(
    stored={"COMMERCE_us": 180, "MESH_us": 70, "KV_carts": 17, "KV_new": 10, "DEAD_us": 10},
    delivered=110,
    acknowledged=105,
    servers_cpu=1.5,
    services_cpu=2.25,
)


def test_streams_copies_and_buckets_are_counted_apart():
    """A stream that appeared meanwhile counts from its first message."""
    assert figures(BEFORE, AFTER) == {
        "stored": 90,
        "copied": 30,
        "buckets": 20,
        "delivered": 60,
        "acknowledged": 60,
        "servers_cpu_ms": 500.0,
        "services_cpu_ms": 250.0,
    }


def test_an_event_does_not_pay_for_the_idle_region():
    """Heartbeats and measurements of the same seconds are taken off."""
    idle = dict.fromkeys(figures(BEFORE, AFTER), 0.0) | {"stored": 5.0, "servers_cpu_ms": 50.0}

    one = cost(BEFORE, AFTER, idle, seconds=2.0, events=10)

    assert (one.stored, one.copied, one.servers_cpu_ms, one.services_cpu_ms) == (8.0, 3.0, 40.0, 25.0)
