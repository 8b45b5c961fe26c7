"""Board: all folds together, and the state of the mesh they make."""

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from mesh import Mesh, Received
from mesh.events.mesh import MeshMeasured, ServiceReported, ServiceStarted, ServiceStopped, ViewsSimulated
from mesh.operations.service_states import Services
from services.operations.board.dead_letters import LatestDeadLetters
from services.operations.board.funnel import Funnel
from services.operations.board.offers import Offers
from services.operations.board.regions import Regions
from services.operations.board.state import Past, State


class Board:
    """What the mesh does right now, as its streams say it; the services called `expected` should run in each region."""

    def __init__(self, mesh: Mesh, expected: Iterable[str] = ()) -> None:
        self._mesh = mesh
        names = (mesh.region, *mesh.others)
        self._regions, self._services = Regions(mesh.region, names, mesh.zones), Services(names, expected)
        self._funnel, self._offers, self.dead_letters = Funnel(), Offers(), LatestDeadLetters(mesh)
        self._past = datetime.min.replace(tzinfo=UTC), b""

    def add(self, received: Received) -> None:
        """Take up an event, of whatever age."""
        match received.event:
            case MeshMeasured() as measured:
                self._regions.add(measured)
            case ServiceStarted() | ServiceReported() | ServiceStopped():
                self._services.add(received)
            case ViewsSimulated():
                self._funnel.add(received)
            case _:
                self._funnel.add(received)
                self._offers.add(received)

    def state(self, now: datetime | None = None) -> State:
        """Everything at a moment (default: now)."""
        now = now or datetime.now(UTC)
        simulated = self._funnel.simulated(now)
        return State(
            at=now,
            region=self._mesh.region,
            regions=self._regions.shown(now),
            links=self._regions.links(now),
            services=self._services.shown(now),
            funnel=self._funnel.stages(now, max(0, self._regions.viewed(now) - simulated)),
            simulated=simulated,
            offers=self._offers.newest(now),
            dead_letters=self.dead_letters.newest,
            unknown=tuple(self._problems(now)),
            missing=tuple(self._services.missing(now)),
        )

    def state_as_json(self) -> bytes:
        """The state as JSON."""
        return msgspec.json.encode(self.state())

    def past(self, now: datetime | None = None) -> Past:
        """The newest minutes before a moment (default: now)."""
        return self._regions.past(now or datetime.now(UTC))

    def past_as_json(self) -> bytes:
        """The newest minutes as JSON; once a second, however many ask."""
        now = datetime.now(UTC).replace(microsecond=0)
        if self._past[0] != now:
            self._past = now, msgspec.json.encode(self.past(now))
        return self._past[1]

    def _problems(self, now: datetime) -> list[str]:
        found = [] if self._mesh.broker.connected else [f"the connection to {self._mesh.region} is lost"]
        found += [f"catching up: {words}" for check in self._mesh.readiness_checks if (words := check())]
        found += self._regions.problems(now)
        found += [words for words in (self._funnel.problem(), self.dead_letters.problem) if words]
        return found
