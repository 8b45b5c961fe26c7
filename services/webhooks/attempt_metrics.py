"""The Prometheus metrics of webhooks."""

from prometheus_client import Counter, Histogram

ATTEMPTS = Counter(
    "cartmesh_webhook_attempts_total", "Attempts to deliver webhooks, by what came of them.", ["outcome"]
)
WAITED = Histogram(
    "cartmesh_webhook_first_attempt_seconds",
    "Time from an event's being stored to the first attempt to deliver it.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30),
)
