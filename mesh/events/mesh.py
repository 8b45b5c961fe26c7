"""What the mesh says about itself."""

from datetime import datetime, timedelta

import msgspec

from mesh.event import Event, event


@event(key="region", ttl=timedelta(minutes=10))
class MeshHeartbeat(Event):
    """A region is alive. Its age, read in another region, is how stale that region's view is."""

    region: str
    at: datetime


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """How many events of a type (`interaction.product_viewed`) a region's write streams took.

    `total` grows for as long as the counting goes on, so that two measurements give a rate; it may begin
    anew with a lower number. `hour` is how many of them were stored in the last sixty minutes.
    """

    type: str
    total: int
    hour: int


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """A durable as its stream's leader tells it: `pending` not yet delivered, `unanswered` not acknowledged."""

    stream: str
    durable: str
    pending: int
    unanswered: int
    redelivered: int


@event(key="region", ttl=timedelta(minutes=10))
class MeshMeasured(Event):
    """A region measured itself: its servers, what its streams took, who lags behind, what was parked.

    `staleness` is the age in seconds of the newest word from each other region; None: never heard.
    `dead` messages are parked until they are driven again.
    """

    region: str
    at: datetime
    nodes: int
    nodes_up: int
    flows: tuple[Flow, ...]
    lags: tuple[Lag, ...]
    staleness: dict[str, float | None]
    dead: int


@event(key="person", personal=True, ttl=timedelta(days=400))
class PersonalDataShown(Event):
    """A person had personal data shown with the command line, and said why.

    `person` is the name of their account on the machine, `question` what they asked for.
    """

    person: str
    at: datetime
    reason: str
    question: str
