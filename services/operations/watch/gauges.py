"""Gauges: the newest measurement for Prometheus. What was not answered has no figure, rather than an old one."""

from mesh.events.mesh import MeshMeasured
from mesh.observability.metrics import ACK_PENDING, DEAD, LAG, NODES, NODES_UP, OUTDATED, STALENESS


def show(measured: MeshMeasured) -> None:
    """Set every gauge of the region."""
    LAG.clear()
    ACK_PENDING.clear()
    OUTDATED.clear()
    for lag in measured.consumers:
        LAG.labels(lag.stream, lag.durable).set(lag.pending)
        ACK_PENDING.labels(lag.stream, lag.durable).set(lag.ack_pending)
        OUTDATED.labels(lag.stream, lag.durable).set(lag.outdated)
    for region, age in measured.staleness.items():
        STALENESS.labels(region).set(float("inf") if age is None else age)
    DEAD.labels(measured.region).set(measured.dead_letters)
    NODES.labels(measured.region).set(measured.nodes)
    NODES_UP.labels(measured.region).set(measured.nodes_up)
