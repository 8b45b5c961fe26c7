"""What is reported of messages that are stored: a span around it, and counts of what was stored."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mesh.observability import metrics, tracing

Events = Mapping[tuple[str, str, str], int]
"""How many events there are of a service, wire type and outcome."""


@contextmanager
def sending(region: str, stream: str, messages: int, events: Events) -> Iterator[None]:
    """Around the storing of so many messages: a span where the active one is recorded, counts once it succeeded.

    https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
    """
    if messages and tracing.is_recorded(tracing.current_context()):
        attributes: dict[str, str | int] = {
            "messaging.system": "nats",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": stream,
            "messaging.batch.message_count": messages,
            "cartmesh.region": region,
        }
        with tracing.span(f"send {stream.partition('_')[0]}", "client", attributes=attributes):
            yield
    else:
        yield
    for labels, count in events.items():
        metrics.EVENTS.labels(*labels).inc(count)
