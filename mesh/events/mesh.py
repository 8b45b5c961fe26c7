"""What the mesh measures of itself: heartbeats and counts of each region."""

from datetime import datetime, timedelta

import msgspec

from mesh.event import Event, event


@event(key="region", ttl=timedelta(minutes=10))
class MeshHeartbeat(Event):
    """A region is alive. Its age, read in another region, is how stale that region's view is.

    `purchases`: the age of its `order.purchase_heartbeat` is taken instead, which releases before 0.1.0 do not publish.
    """

    region: str
    at: datetime
    purchases: bool = False


class EventCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many events of a type (`interaction.product_viewed`) a region's write streams took.

    `total` only grows while the counting service runs, so that two measurements give a rate; after a restart it may
    be lower. `last_hour` is how many of them were stored in the last sixty minutes.
    """

    type: str
    total: int
    last_hour: int


class ConsumerLag(msgspec.Struct, frozen=True, kw_only=True):
    """A durable consumer by its leader: messages `pending` (not delivered yet), `ack_pending` (not acknowledged yet).

    `outdated`: what it delivers is not what its service declares.
    """

    stream: str
    durable: str
    pending: int
    ack_pending: int
    redelivered: int
    outdated: bool = False


@event(key="region", ttl=timedelta(minutes=10))
class MeshMeasured(Event):
    """A region measured itself: its servers, the events its streams stored, its consumers' lag, its dead letters.

    `staleness` is the age in seconds of the newest heartbeat from each other region; None: there was none yet.
    `dead_letters` counts those that wait until they are redriven.
    """

    region: str
    at: datetime
    nodes: int
    nodes_up: int
    event_counts: tuple[EventCount, ...]
    consumers: tuple[ConsumerLag, ...]
    staleness: dict[str, float | None]
    dead_letters: int


@event(key="service", ttl=timedelta(days=30))
class ServiceStarted(Event):
    """A process began to run a service. `instance` is its name until it ends, `machine` the name of the host or pod."""

    service: str
    instance: str
    machine: str
    at: datetime


@event(key="service", ttl=timedelta(minutes=10))
class ServiceReported(Event):
    """An instance of a service still runs at the moment `at`; it began to at `since`."""

    service: str
    instance: str
    machine: str
    since: datetime
    at: datetime


@event(key="service", ttl=timedelta(days=30))
class ServiceStopped(Event):
    """An instance of a service was asked to stop, and has. One that was killed never publishes this."""

    service: str
    instance: str
    at: datetime


SERVICE_REPORTS: tuple[type[Event], ...] = (ServiceStarted, ServiceReported, ServiceStopped)
"""What every process publishes for each service that it runs; `mesh.runtime.service_reports` does."""


@event(key="region", ttl=timedelta(hours=2))
class ViewsSimulated(Event):
    """A demo had a region store so many product views of shoppers who do not exist: no funnel should count them."""

    region: str
    views: int
    at: datetime


@event(key="person", personal=True, ttl=timedelta(days=400))
class PersonalDataShown(Event):
    """A person had personal data shown with the command line, and said why.

    `person` is the name of their account on the machine, `question` what they asked for.
    """

    person: str
    at: datetime
    reason: str
    question: str
