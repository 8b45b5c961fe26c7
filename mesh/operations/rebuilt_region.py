"""What a region has after it was rebuilt from copies, and what no copy can give back, in words for its operator."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mesh.service import Service
from mesh.topology.derive.nats import buckets_of, distinct
from mesh.topology.mesh_toml import Topology


@dataclass(kw_only=True)
class RebuiltRegion:
    """What came back: events by domain; `lost_at` is the time of the newest; `held_back` what a person must look at."""

    lost_at: datetime
    events: dict[str, int]
    held_back: dict[str, str] = field(default_factory=dict)

    def told(self, topology: Topology, services: Sequence[Service]) -> Iterator[str]:
        """A line for each thing that came back, is held back, or is lost."""
        counts = ", ".join(f"{count:,} of {domain}" for domain, count in self.events.items()) or "none"
        yield f"events that came back: {counts}"
        yield (
            f"the newest was stored at {self.lost_at:%Y-%m-%d %H:%M:%S} UTC: what happened there later, and was not "
            "copied before the loss, is in nobody's log. See what the payment's provider and the shop have since"
        )
        for told in self.held_back.values():
            yield f"held back: {told}"
        filled = sorted({bucket.name for service in services for one in service.bindings for bucket in one.projects})
        yield f"filled again from the events once the services run: {', '.join(filled) or 'nothing'}"
        yield from _lost(topology, services, filled)


def _lost(topology: Topology, services: Sequence[Service], filled: Sequence[str]) -> Iterator[str]:
    layout = topology.layout
    families = [family for family in layout.families if family not in layout.copied]
    for family in families:
        domains = f" ({', '.join(family.domains)})" if family.domains else ""
        yield f"lost, for it is never copied: {family.name}{domains}, {_lower(family.description)}"
    yield "lost: timers. Carts that were left by then fall due no more, offers and journeys under way are not sent"
    yield "lost: dead letters, and the keys of personal data: people say again who they are and what they allow"
    kept = distinct(bucket for service in services for bucket in buckets_of(service))
    refilled = {
        one.name for service in services if any(on.refills for on in service.bindings) for one in service.buckets
    }
    lost = sorted(one.name for one in kept if one.name not in filled and one.name not in refilled and one.ttl is None)
    yield f"lost: {', '.join(lost) or 'no bucket'}. Invite the console's people again, and train the models"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
