"""Service states: which run in each region, where and since when, how often they were restarted, and which are missing.

They follow from what every process reports of the services that it runs (`mesh.runtime.service_reports`).
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from mesh.envelope import Received
from mesh.events.mesh import ServiceReported, ServiceStarted, ServiceStopped

ServiceState = Literal["running", "missing", "stopped", "unknown"]
MISSING_AFTER = timedelta(seconds=35)
"""An instance that has not reported for so long does not run any more: three reports are missing."""
REMEMBERED = timedelta(days=30)
DAY = timedelta(days=1)
START_UP = timedelta(minutes=1)
"""How long a region has after its first report until a service that never reported counts as missing."""
MOST_INSTANCES = 2_000
"""Of one service in one region: more are forgotten, those that were started first."""


class InstanceShown(msgspec.Struct, frozen=True, kw_only=True):
    """A process that runs a service: its name, the machine or pod it is on, and since when."""

    id: str
    machine: str
    since: datetime


class ServiceShown(msgspec.Struct, frozen=True, kw_only=True):
    """A service in a region, and how often it was started in the last day after an instance of it had ended.

    `missing`: no instance runs, although one should; `stopped`: none of a demo runs; `unknown`: no service of the
    region reports here. `reported` is when an instance reported last (None: none did in 30 days).
    """

    region: str
    name: str
    state: ServiceState
    instances: tuple[InstanceShown, ...]
    restarts: int
    reported: datetime | None


class _Instance(msgspec.Struct):
    since: datetime
    reported: datetime
    machine: str = ""
    stopped: datetime | None = None

    def runs(self, now: datetime) -> bool:
        return self.stopped is None and now - self.reported <= MISSING_AFTER


class Services:
    """A fold: the same whatever the order and however often reports are received. `expected` should run everywhere."""

    def __init__(self, regions: Iterable[str], expected: Iterable[str] = ()) -> None:
        self._regions, self._expected = tuple(regions), frozenset(expected)
        self._known: dict[str, dict[str, dict[str, _Instance]]] = {region: {} for region in self._regions}

    def add(self, received: Received) -> None:
        """Take up a report; regions that this one does not know have none."""
        services = self._known.get(received.region)
        if services is None:
            return
        match received.event:
            case ServiceStarted(service=name, instance=id_, machine=machine, at=at):
                self._instance(services, name, id_, at, at).machine = machine
            case ServiceReported(service=name, instance=id_, machine=machine, since=since, at=at):
                self._instance(services, name, id_, since, at).machine = machine
            case ServiceStopped(service=name, instance=id_, at=at):
                self._instance(services, name, id_, at, at).stopped = at

    def shown(self, now: datetime) -> tuple[ServiceShown, ...]:
        """Each service of each region, by name; demos only where one has run in the last day."""
        return tuple(self._shown(region, name, now) for region in self._regions for name in self._names(region, now))

    def missing(self, now: datetime) -> list[str]:
        """Which services do not run although they should, each as a sentence."""
        return [_sentence(one) for one in self.shown(now) if one.state == "missing"]

    def _names(self, region: str, now: datetime) -> list[str]:
        recent = {
            name
            for name, instances in self._known[region].items()
            if any(now - one.reported <= DAY for one in instances.values())
        }
        return sorted(recent | self._expected)

    def _shown(self, region: str, name: str, now: datetime) -> ServiceShown:
        instances = self._known[region].get(name, {})
        running = {id_: one for id_, one in instances.items() if one.runs(now)}
        shown = (
            InstanceShown(id=id_, machine=one.machine, since=one.since)
            for id_, one in sorted(running.items(), key=lambda item: (item[1].since, item[0]))
        )
        return ServiceShown(
            region=region,
            name=name,
            state="running" if running else self._absence(region, name, now),
            instances=tuple(shown),
            restarts=_restarts(instances.values(), now),
            reported=max((one.reported for one in instances.values()), default=None),
        )

    def _absence(self, region: str, name: str, now: datetime) -> ServiceState:
        """Why no instance is shown: it is missing only where others of its region report."""
        everyone = [one for instances in self._known[region].values() for one in instances.values()]
        if not any(one.runs(now) for one in everyone):
            return "unknown"
        if name not in self._expected:
            return "stopped"
        is_new = name not in self._known[region]
        return "unknown" if is_new and now - min(one.since for one in everyone) < START_UP else "missing"

    def _instance(
        self, services: dict[str, dict[str, _Instance]], name: str, id_: str, since: datetime, reported: datetime
    ) -> _Instance:
        instances = services.setdefault(name, {})
        known = instances.setdefault(id_, _Instance(since=since, reported=reported))
        known.since, known.reported = min(known.since, since), max(known.reported, reported)
        if len(instances) > MOST_INSTANCES:
            del instances[min(instances, key=lambda one: instances[one].since)]
        return known


def _restarts(instances: Collection[_Instance], now: datetime) -> int:
    """Starts of the last day, each after an instance had ended that no earlier start had replaced."""
    changes = [(one.since, False) for one in instances]
    changes += [(one.stopped or one.reported, True) for one in instances if not one.runs(now)]
    ended = restarts = 0
    for at, is_end in sorted(changes):  # of an instance that reported once only, its start comes first
        if is_end:
            ended += 1
        elif ended:
            ended -= 1
            restarts += now - at <= DAY
    return restarts


def _sentence(service: ServiceShown) -> str:
    if service.reported is None:
        return f"{service.name} in {service.region} (never reported)"
    return f"{service.name} in {service.region} (last report {service.reported.astimezone(UTC):%H:%M:%S} UTC)"
