"""Board: all folds together, and the picture they make."""

from datetime import UTC, datetime

import msgspec

from mesh import Mesh, Received
from mesh.events.mesh import MeshMeasured
from services.operations.board.funnel import Funnel
from services.operations.board.offers import Offers
from services.operations.board.parked import Parked
from services.operations.board.picture import Past, Picture
from services.operations.board.regions import Regions


class Board:
    """What the mesh does right now, as its streams say it."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._regions = Regions(mesh.region, (mesh.region, *mesh.others), mesh.zones)
        self._funnel, self._offers, self.parked = Funnel(), Offers(), Parked(mesh)
        self._past = datetime.min.replace(tzinfo=UTC), b""

    def hear(self, received: Received) -> None:
        """Take up an event, of whatever age."""
        if isinstance(received.event, MeshMeasured):
            self._regions.hear(received.event)
        else:
            self._funnel.hear(received)
            self._offers.hear(received)

    def picture(self, now: datetime | None = None) -> Picture:
        """Everything at a moment (default: now)."""
        now = now or datetime.now(UTC)
        return Picture(
            at=now,
            region=self._mesh.region,
            regions=self._regions.shown(now),
            links=self._regions.links(now),
            funnel=self._funnel.stages(now, self._regions.viewed(now)),
            offers=self._offers.newest(now),
            dead=self.parked.newest,
            unknown=tuple(self._doubts(now)),
        )

    def paint(self) -> bytes:
        """The picture as JSON."""
        return msgspec.json.encode(self.picture())

    def past(self, now: datetime | None = None) -> Past:
        """The newest minutes before a moment (default: now)."""
        return self._regions.past(now or datetime.now(UTC))

    def paint_past(self) -> bytes:
        """The newest minutes as JSON; once a second, however many ask."""
        now = datetime.now(UTC).replace(microsecond=0)
        if self._past[0] != now:
            self._past = now, msgspec.json.encode(self.past(now))
        return self._past[1]

    def _doubts(self, now: datetime) -> list[str]:
        found = [] if self._mesh.broker.connected else [f"the connection to {self._mesh.region} is lost"]
        found += [f"catching up: {words}" for doubt in self._mesh.readiness_checks if (words := doubt())]
        found += self._regions.doubts(now)
        found += [words for words in (self._funnel.doubt(), self.parked.doubt) if words]
        return found
