"""Rebuilding: how streams are closed and marked while their region is given its events back from other regions' copies.

A closed stream has no subjects but `rebuild.<stream>.>`, and stores what arrives there under the rest of its subject:
whoever publishes an event meanwhile is told that no stream takes it, and nothing comes between. The mark is metadata of
the stream. It stays until the whole region is done, and `apply` changes nothing until then.
"""

from datetime import datetime
from typing import Literal

from mesh.topology.derive.nats import Config

MARK = "cartmesh.rebuilding"
Command = Literal["rebuild-region", "restore"]
_SHORTEST_WINDOW = 100_000_000
"""Nanoseconds: the shortest the server takes. An id may stand in a stream more than once."""


def inside(stream: str, subject: str = ">") -> str:
    """Where a closed stream takes what it stores under `subject`."""
    return f"rebuild.{stream}.{subject}"


def closed(config: Config, by: Command) -> Config:
    """The stream while it is filled by a command."""
    taken = inside(config["name"])
    return config | {
        "subjects": [taken],
        "subject_transform": {"src": taken, "dest": ">"},
        "duplicate_window": _SHORTEST_WINDOW,
        "metadata": {MARK: by},
    }


def opened(config: Config, lost_at: datetime) -> Config:
    """The stream once it is filled, in a region that is still being rebuilt; `lost_at` is kept with it (aware UTC)."""
    return config | {"metadata": {MARK: lost_at.isoformat()}}


def mark(live: Config) -> str | None:
    """By which command a stream is closed, or `lost_at` once it is filled; None in a region as any other."""
    found: str | None = (live.get("metadata") or {}).get(MARK)
    return found
