"""Collector: reads every region's streams and the mail server's record again and again, each message once."""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from mesh import Event, Mesh, Received
from mesh.envelope import open_envelope
from mesh.errors import InvalidEvent
from mesh.event import Declaration, declared
from mesh.streams import dead_stream, mesh_stream
from services.demo.replay.evidence import Cut, Evidence, Mail, Sent

Place = tuple[str, str, type[Event]]
"""A region, a stream and the one kind that is read from it."""


@dataclass
class Collector:
    """What has happened in these regions since `begin`. `meshes` are an operator's connections by region.

    Every kind is read for itself from behind the last one seen of it: replicas answer reads, each may
    lag, but none leaves out an earlier message of one filter while it knows a later one.
    """

    meshes: dict[str, Mesh]
    record: Path
    evidence: Evidence
    after: dict[Place, int] = field(default_factory=lambda: defaultdict(int))
    dead: dict[str, int] = field(default_factory=dict)
    mails_before: int = 0
    dead_before: int = 0

    @classmethod
    async def begin(cls, meshes: dict[str, Mesh], record: Path, *, nodes: int) -> "Collector":
        """A collector of what happens from now on; what stood in the streams before is left out."""
        layout = next(iter(meshes.values())).layout
        collector = cls(meshes, record, Evidence(regions=tuple(meshes), nodes=nodes, layout=layout))
        await collector.collect()
        collector.mails_before, collector.dead_before = len(collector.evidence.mails), collector.evidence.dead
        collector.evidence = Evidence(regions=tuple(meshes), nodes=nodes, layout=layout)
        return collector

    async def collect(self) -> Evidence:
        """Read what is new. Raises Unavailable while a stream cannot be read; calling it again is safe."""
        for region, here in self.meshes.items():
            for declaration in declared():
                if declaration.ttl is None:  # the mesh's own measurements expire
                    await self._read(here, declaration)
            dead_letters = here.broker.read(dead_stream(region), [f"dead.{region}.>"])
            self.dead[region] = len([one async for one in dead_letters])
        self.evidence.dead = sum(self.dead.values()) - self.dead_before
        self.evidence.mails = read_mails(self.record)[self.mails_before :]
        return self.evidence

    async def pending(self, *, until: datetime) -> int:
        """How many timers that are due before `until` still wait, in all regions."""
        count = 0
        for region, here in self.meshes.items():
            for family in here.layout.atomic:
                async for message in here.broker.read(family.stream(region), [f"timer.{region}.>"]):
                    with suppress(InvalidEvent):
                        count += open_envelope(message.body).time <= until
        return count

    def finish(self, sent: list[Sent], cut: Cut | None = None) -> Evidence:
        """The evidence with what was sent and what was cut, for a report."""
        self.evidence.sent, self.evidence.cut = sent, cut
        return self.evidence

    async def _read(self, here: Mesh, declaration: Declaration) -> None:
        self.evidence.stored += await self._new(here, declaration, here.stream_of(declaration.kind))
        if here.layout.travels(declaration):
            copies = self.evidence.copies.setdefault(here.region, [])
            copies += await self._new(here, declaration, mesh_stream(here.region))

    async def _new(self, here: Mesh, declaration: Declaration, stream: str) -> list[Received[Event]]:
        place = (here.region, stream, declaration.kind)
        found = [one async for one in here.read(declaration.kind, stream=stream, after=self.after[place])]
        if found:
            self.after[place] = found[-1].sequence
        return found


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the inbox's record, as far as it is needed here."""

    offer_id: str | None = None
    recipients: tuple[str, ...]
    received: datetime


def read_mails(record: Path) -> list[Mail]:
    """The mails that the SMTP server wrote down, one JSON object per line; a line still being written is left out."""
    if not record.exists():
        return []
    mails = []
    for line in record.read_bytes().splitlines():
        with suppress(msgspec.DecodeError):
            delivery = msgspec.json.decode(line, type=Delivery)
            mails += [
                Mail(offer_id=delivery.offer_id or "", recipient=recipient, accepted_at=delivery.received)
                for recipient in delivery.recipients
            ]
    return mails
