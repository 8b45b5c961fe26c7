"""The Prometheus metrics of the lake."""

from prometheus_client import Counter, Gauge

COMMITTED = Counter("cartmesh_lake_events_total", "Events that were committed to the lake, by stream.", ["stream"])
WAITING = Gauge("cartmesh_lake_waiting_events", "Events that wait in memory for the next commit.", ["stream"])
FAILED = Gauge("cartmesh_lake_failing", "Whether the lake takes nothing of a stream just now.", ["stream"])
