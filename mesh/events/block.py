"""Blocks that many mails share, as people publish them: each template that contains one is published again with it."""

from mesh.event import Event, event


@event(key="name")
class BlockPublished(Event):
    """A revision of a shared block was published. `files` are all its texts by name; `replaces` is the one before.

    `replaces_region` is the region that published that one (None: an older release did not say).
    """

    name: str
    revision: int
    author: str
    files: dict[str, str]
    replaces: int | None = None
    replaces_region: str | None = None
