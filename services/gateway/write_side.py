"""Write side: whatever address a request came to, its events are judged, stored, counted and reported in one place."""

from collections.abc import Mapping
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
from services.gateway.judged import Ignored, Judged, Rejected, Sender, Told
from services.gateway.store import Outcome, Store

EVENTS = Counter("cartmesh_gateway_events_total", "Storefront events, by what became of them.", ["outcome"])


AS_USUAL = Told()


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
        request: Request[Any, Any, Any],
        raw_events: list[msgspec.Raw],
        sender: Sender,
        *,
        route: str,
        received: datetime,
        wrong: Mapping[int, InvalidField] = NOTHING_WRONG,
        told: Told = AS_USUAL,
    ) -> Verdict:
        """Judge the events and store the valid ones; returns once JetStream has acknowledged them.

        Raises 429 for too many, and Unavailable where some could not be stored. `wrong` are events that are known to
        be, by their index.
        """
        size = sum(memoryview(raw).nbytes for raw in raw_events)
        if told.history:
            self.guard.admit_history(request, sender, count=max(1, len(raw_events)))
        else:
            self.guard.admit(request, sender, count=max(1, len(raw_events)), size=size)
        sender = self.guard.judged(request, sender)
        judged = self.intake.judge(raw_events, sender, received, wrong=wrong, told=told)
        attributes = {"http.request.method": "POST", "http.route": route, "cartmesh.events": len(raw_events)}
        parent = request.headers.get("traceparent")
        with tracing.span(f"POST {route}", "server", service="gateway", parent=parent, attributes=attributes) as work:
            outcomes = await self.store.store(judged.valid, work.trace, judged.refusals)
        return _verdict(judged, outcomes)


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
