"""Templates as people publish them: every region renders offers with the revision that was decided."""

from mesh.event import Event, event


@event(key="name")
class TemplatePublished(Event):
    """A revision of a template was published. `files` are all its texts by name; `replaces` is the revision before.

    `replaces_region` is the region that published that one (None: an older release did not say).
    """

    name: str
    revision: int
    author: str
    files: dict[str, str]
    replaces: int | None = None
    replaces_region: str | None = None
