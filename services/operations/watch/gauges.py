"""Gauges: the newest measurement for Prometheus. What was not answered has no figure, rather than an old one."""

from mesh.events.mesh import MeshMeasured
from mesh.observability.metrics import CHANGED, DEAD, LAG, NODES, NODES_UP, STALENESS, UNANSWERED


def show(measured: MeshMeasured) -> None:
    """Set every gauge of the region."""
    LAG.clear()
    UNANSWERED.clear()
    CHANGED.clear()
    for lag in measured.lags:
        LAG.labels(lag.stream, lag.durable).set(lag.pending)
        UNANSWERED.labels(lag.stream, lag.durable).set(lag.unanswered)
        CHANGED.labels(lag.stream, lag.durable).set(lag.changed)
    for region, age in measured.staleness.items():
        STALENESS.labels(region).set(float("inf") if age is None else age)
    DEAD.labels(measured.region).set(measured.dead)
    NODES.labels(measured.region).set(measured.nodes)
    NODES_UP.labels(measured.region).set(measured.nodes_up)
