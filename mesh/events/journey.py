"""Journeys as people publish them: every region decides with the newest revision."""

from mesh.event import Event, event


@event(key="journey")
class JourneyPublished(Event):
    """A revision of a journey was published. `source` is its whole document as TOML, `replaces` the revision before."""

    journey: str
    revision: int
    author: str
    source: str
    replaces: int | None = None
