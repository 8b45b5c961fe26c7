"""Event counters: what a region's write streams count, one count for each event that is kept."""

from dataclasses import dataclass

from mesh.event import Declaration, declared
from mesh.streams import DEFAULT_LAYOUT, StreamLayout
from mesh.subjects import every

_MARK = "event-count-"


@dataclass(frozen=True, kw_only=True)
class EventCounter:
    """A count: of which event (`interaction.product_viewed`), in which stream, by which consumer."""

    type: str
    stream: str
    name: str
    subject: str


def event_counters(region: str, layout: StreamLayout = DEFAULT_LAYOUT) -> tuple[EventCounter, ...]:
    """One for each event, whatever its version. Not of personal ones, nor of those that expire: they are not kept."""
    counted = (declaration for declaration in declared() if not declaration.personal and declaration.ttl is None)
    made = (_counter(declaration, region, layout) for declaration in counted)
    return tuple({counter.name: counter for counter in made}.values())


def _counter(declaration: Declaration, region: str, layout: StreamLayout) -> EventCounter:
    return EventCounter(
        type=f"{declaration.domain}.{declaration.action}",
        stream=layout.stream_of(declaration, region),
        name=f"{_MARK}{declaration.domain}-{declaration.action}",
        subject=every(declaration, region=region),
    )
