"""Survey: a region's figures, put together from what its leaders answer in time."""

import asyncio
from collections.abc import Iterable
from datetime import datetime

from mesh import Mesh
from mesh.broker.protocol import StreamState
from mesh.errors import MeshError
from mesh.events.mesh import ConsumerLag, MeshMeasured
from mesh.observability.event_counts import event_counters
from mesh.streams import ConsumerSpec, dead_stream, mesh_stream
from services.operations.watch.event_counts import EventCounts
from services.operations.watch.latest import Latest

ANSWERED_WITHIN = 0.3
"""Seconds that a measurement waits: later answers are published with the next one."""
LAGS_EVERY = 2.0
"""Seconds between two questions to all durables: there are many, and each is a question to a leader of its own."""


class Survey:
    """Of every part the newest answer counts, as long as it is fresh."""

    def __init__(self, mesh: Mesh, durables: Iterable[ConsumerSpec], *, lags_every: float = LAGS_EVERY) -> None:
        self._mesh, counted = mesh, event_counters(mesh.region, mesh.layout)
        self._durables: dict[str, dict[str, frozenset[str]]] = {}
        for spec in durables:
            self._durables.setdefault(spec.stream, {})[spec.durable] = frozenset(spec.filters)
        self._names = dict.fromkeys(
            [*(counter.stream for counter in counted), mesh_stream(mesh.region), dead_stream(mesh.region)]
        )
        self._streams, self._lags = Latest(self._ask_streams), Latest(self._ask_durables, every=lags_every)
        self._event_counts, self._staleness = Latest(EventCounts(mesh.broker, counted).read), Latest(mesh.staleness)
        self._nodes = self._dead = 0

    async def measured(self, at: datetime) -> MeshMeasured:
        """The region as it is known to be."""
        streams, lags, event_counts, staleness = await asyncio.gather(
            self._streams.within(ANSWERED_WITHIN),
            self._lags.within(ANSWERED_WITHIN),
            self._event_counts.within(ANSWERED_WITHIN),
            self._staleness.within(ANSWERED_WITHIN),
        )
        servers = _servers(streams or {})
        self._nodes = len(servers) or self._nodes
        if streams and (dead := streams.get(dead_stream(self._mesh.region))):
            self._dead = dead.messages
        ages = staleness or dict.fromkeys(self._mesh.others)
        return MeshMeasured(
            region=self._mesh.region,
            at=at,
            nodes=self._nodes,
            nodes_up=sum(servers.values()),
            event_counts=event_counts or (),
            consumers=lags or (),
            staleness={region: age.total_seconds() if age is not None else None for region, age in ages.items()},
            dead_letters=self._dead,
        )

    def close(self) -> None:
        """Ask no more."""
        for part in (self._streams, self._lags, self._event_counts, self._staleness):
            part.close()

    async def _ask_streams(self) -> dict[str, StreamState]:
        asked = (self._mesh.broker.stream_state(name) for name in self._names)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, MeshError):
                raise answer
        answered = zip(self._names, answers, strict=True)
        return {name: answer for name, answer in answered if isinstance(answer, StreamState)}

    async def _ask_durables(self) -> tuple[ConsumerLag, ...]:
        asked = (self._mesh.broker.consumer_states(stream, list(names)) for stream, names in self._durables.items())
        answered = zip(self._durables, await asyncio.gather(*asked), strict=True)
        return tuple(
            ConsumerLag(
                stream=stream,
                durable=name,
                pending=state.pending,
                ack_pending=state.ack_pending,
                redelivered=state.redelivered,
                outdated=state.filters != self._durables[stream][name],
            )
            for stream, states in answered
            for name, state in sorted(states.items())
        )


def _servers(streams: dict[str, StreamState]) -> dict[str, bool]:
    """Every server that has a copy of something; up where any leader reports it."""
    found: dict[str, bool] = {}
    for state in streams.values():
        for name, is_up in state.servers.items():
            found[name] = found.get(name, False) or is_up
    return found
