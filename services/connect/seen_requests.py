"""Seen requests: the newest of what came in from outside, as the gateways report it."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from mesh import Received
from mesh.events.connection import ConnectionReported, SeenRequest
from mesh.web.event_stream import Hub

KEPT = 1_000
MOST_REPORTS = 5_000
"""How many reports are known again when they are delivered twice."""
TOPIC = "requests"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A request with the name by which the page finds it again."""

    name: str
    request: SeenRequest

    @property
    def outcome(self) -> str:
        """`refused`, `partly`, `unknown` or `taken`."""
        one = self.request
        if one.status >= 400 or (one.refused and not one.accepted):
            return "refused"
        if one.refused or one.ignored:
            return "partly"
        return "unknown" if one.not_understood else "taken"


class SeenRequests:
    """Kept in memory: the newest requests, and how many came from each source since this process reads."""

    def __init__(self) -> None:
        self._requests: deque[Shown] = deque(maxlen=KEPT)
        self._reports: deque[str] = deque(maxlen=MOST_REPORTS)
        self._known: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.last: dict[str, datetime] = {}
        self.left_out = 0
        self.pages: Hub[int] = Hub(queued=1)

    def add(self, received: Received[ConnectionReported]) -> None:
        """Take a report; one that was delivered before changes nothing."""
        if received.id in self._known:
            return
        if len(self._reports) == MOST_REPORTS:
            self._known.discard(self._reports[0])
        self._reports.append(received.id)
        self._known.add(received.id)
        report = received.event
        self.left_out += report.left_out
        for at, request in enumerate(report.requests):
            self._requests.append(Shown(name=f"{received.id[:16]}-{at}", request=request))
            self.counts[request.source] += 1
            self.last[request.source] = max(self.last.get(request.source, request.at), request.at)
        self.pages.publish(TOPIC, len(report.requests))

    def newest(self, *, source: str = "", only: str = "", most: int = 100) -> list[Shown]:
        """The newest first; of one source, and with `only="bad"` those of which something was not taken."""
        return list(islice(self._matching(source, only), most))

    def _matching(self, source: str, only: str) -> Iterable[Shown]:
        for one in sorted(self._requests, key=lambda shown: shown.request.at, reverse=True):
            if source and one.request.source != source:
                continue
            if only == "bad" and one.outcome == "taken":
                continue
            yield one
