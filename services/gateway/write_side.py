"""Write side: whatever address a request came to, its events are judged, stored, counted and reported in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request
from prometheus_client import Counter

from mesh.errors import InvalidField
from mesh.observability import tracing
from services.gateway.access import AccessGuard
from services.gateway.connection_reports import ConnectionReports
from services.gateway.intake import NOTHING_WRONG, Intake
from services.gateway.judged import Ignored, Judged, Provenance, Rejected, Sender
from services.gateway.store import Outcome, Store

EVENTS = Counter("cartmesh_gateway_events_total", "Storefront events, by what became of them.", ["outcome"])


AS_USUAL = Provenance()


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a request's events. Duplicates count as accepted: they are stored, once.

    `ignored` are fields that could not be taken; their events were.
    """

    accepted: int
    duplicates: int
    rejected: list[Rejected]
    ignored: list[Ignored] = []


@dataclass(frozen=True)
class WriteSide:
    """Takes events of requests that were read, whoever read them."""

    guard: AccessGuard
    intake: Intake
    store: Store
    reports: ConnectionReports

    async def take(
        self,
        request: Request[Any, Any, Any] | None,
        raw_events: list[msgspec.Raw],
        sender: Sender,
        *,
        route: str,
        received: datetime,
        wrong: Mapping[int, InvalidField] = NOTHING_WRONG,
        provenance: Provenance = AS_USUAL,
        opened: Sequence[dict[str, Any]] = (),
    ) -> Verdict:
        """Judge the events and store the valid ones; returns once JetStream has acknowledged them.

        Raises 429 for too many, and Unavailable where some could not be stored. `wrong` are events that are known to
        be, by their index, and `opened` the fields of all where they are known already. Without a `request` they were
        fetched from a broker, as fast as they are stored.
        """
        name, kind, parent = f"process {route}", "consumer", None
        attributes: dict[str, Any] = {"cartmesh.events": len(raw_events)}
        if request is not None:
            self._admit(request, raw_events, sender, history=provenance.history)
            sender = self.guard.judged(request, sender)
            name, kind, parent = f"POST {route}", "server", request.headers.get("traceparent")
            attributes |= {"http.request.method": "POST", "http.route": route}
        judged = self.intake.judge(raw_events, sender, received, wrong=wrong, provenance=provenance, opened=opened)
        with tracing.span(name, kind, service="gateway", parent=parent, attributes=attributes) as work:
            outcomes = await self.store.store(judged.valid, work.trace, judged.refusals)
        return _verdict(judged, outcomes)

    def _admit(
        self, request: Request[Any, Any, Any], raw_events: list[msgspec.Raw], sender: Sender, *, history: bool
    ) -> None:
        count = max(1, len(raw_events))
        if history:
            self.guard.admit_history(request, sender, count=count)
        else:
            size = sum(memoryview(raw).nbytes for raw in raw_events)
            self.guard.admit(request, sender, count=count, size=size)


def _verdict(judged: Judged, outcomes: Mapping[int, Outcome]) -> Verdict:
    """The answer to a request, counted."""
    duplicates = accepted = judged.repeated
    rejected = list(judged.rejected)
    for one in judged.valid:
        match outcomes[one.index]:
            case InvalidField(path=path, reason=reason):
                rejected.append(Rejected(index=one.index, id=one.id, path=path, reason=reason))
            case outcome:
                accepted += 1
                duplicates += outcome == "duplicate"
    rejected.sort(key=lambda refused: refused.index)
    for label, count in (
        ("accepted", accepted - duplicates),
        ("duplicate", duplicates),
        ("bot", judged.bots),
        ("rejected", len(rejected) - judged.bots),
    ):
        EVENTS.labels(label).inc(count)
    return Verdict(accepted=accepted, duplicates=duplicates, rejected=rejected, ignored=judged.ignored)
