"""Support: what a mail is written with that some mail programs do not understand."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

from notifications.client_support.marks import used

TABLE = Path(__file__).parent / "features.json"
MOST_NAMED = 4
"""More programs than these are counted and not named."""


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """A feature as caniemail.com calls it, and the programs that do not support it."""

    title: str
    missing: tuple[str, ...]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The features, by their names there, as of a day."""

    updated: str
    features: dict[str, Feature]


@cache
def table() -> Table:
    """What is kept here."""
    return msgspec.json.decode(TABLE.read_bytes(), type=Table)


def not_supported(code: str) -> Iterator[tuple[int, str]]:
    """The line, and a sentence, of each feature in code that some mail program does not support."""
    known = table().features
    for name, line in used(code):
        if (feature := known.get(name)) is not None:
            yield line, f"{feature.title} is not supported by {_listed(feature.missing)}."


def _listed(programs: tuple[str, ...]) -> str:
    named, more = programs[:MOST_NAMED], len(programs) - MOST_NAMED
    if more > 0:
        return f"{', '.join(named)} and {more} more"
    return f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else named[0]
