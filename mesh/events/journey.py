"""Journeys as people publish them: every region decides with the newest revision."""

from mesh.event import Event, event


@event(key="name")
class JourneyPublished(Event):
    """A revision of a journey was published. `files` is its whole text, TOML; `replaces` is the revision before.

    `replaces_region` is the region that published that one (None: an older release did not say).

    Runs under way that were decided last with an earlier revision than `runs_from` go on with that one; those of a
    later one keep theirs. None: all runs under way move over to this revision.
    """

    name: str
    revision: int
    author: str
    files: dict[str, str]
    replaces: int | None = None
    replaces_region: str | None = None
    runs_from: int | None = None
