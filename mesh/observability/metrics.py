"""The Prometheus metrics of the mesh itself."""

from prometheus_client import Counter, Gauge, Histogram

RUNNING = Gauge("cartmesh_service_running", "Whether a service takes work here: 1, or 0 once it drains.", ["service"])
EVENTS = Counter(
    "cartmesh_events_total",
    "Events stored, by who published them and, where the event says so, by outcome.",
    ["service", "type", "outcome"],
)
PUBLISHED = Counter("cartmesh_published_messages_total", "Messages stored.", ["stream"])
PUBLISH_RETRIES = Counter(
    "cartmesh_publish_retries_total", "Stores tried again because JetStream was unavailable.", ["stream"]
)
HANDLED = Counter(
    "cartmesh_handled_messages_total", "Messages answered, by what became of them.", ["durable", "outcome"]
)
HANDLING = Histogram(
    "cartmesh_handling_seconds",
    "Time from a message's delivery to its acknowledgement.",
    ["durable"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
DELAY = Histogram(
    "cartmesh_delivery_delay_seconds",
    "Time from an event's being stored to its first delivery.",
    ["durable"],
    buckets=(0.005, 0.025, 0.1, 0.5, 1, 5, 30, 300, 3600),
)
REQUESTS = Counter("cartmesh_http_requests_total", "Requests answered.", ["service", "route", "status"])
REQUESTING = Histogram(
    "cartmesh_http_request_seconds",
    "Time from a request to the head of its answer.",
    ["service", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
PENDING = Gauge(
    "cartmesh_consumer_pending_messages", "Messages a consumer has not been given yet.", ["stream", "durable"]
)
LAG = Gauge(
    "cartmesh_consumer_lag_messages",
    "Messages a durable has not been given yet, as its leader reports it.",
    ["stream", "durable"],
)
ACK_PENDING = Gauge(
    "cartmesh_consumer_ack_pending_messages",
    "Messages a durable was given and has not acknowledged, as its leader reports it.",
    ["stream", "durable"],
)
OUTDATED = Gauge(
    "cartmesh_consumer_outdated",
    "1 where a durable's filters are not those that its service declares.",
    ["stream", "durable"],
)
DEAD = Gauge("cartmesh_dead_letters", "Messages that were given up, until they are handled again.", ["region"])
NODES = Gauge("cartmesh_nodes", "Servers that hold the region's streams.", ["region"])
NODES_UP = Gauge("cartmesh_nodes_up", "Servers that are up, as the streams' leaders report.", ["region"])
STALENESS = Gauge("cartmesh_region_staleness_seconds", "Age of another region's newest heartbeat.", ["region"])
