"""Journeys as people publish them: every region decides with the newest revision."""

from mesh.event import Event, event


@event(key="name")
class JourneyPublished(Event):
    """A revision of a journey was published. `files` is its whole text, TOML; `replaces` is the revision before."""

    name: str
    revision: int
    author: str
    files: dict[str, str]
    replaces: int | None = None
