"""Seen: one request as it is reported to those who connect a shop, without what it says."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import msgspec

from mesh.errors import InvalidField
from mesh.events.connection import RefusedPart, SeenRequest
from mesh.translate import NotUnderstood
from services.gateway.judged import Ignored, Rejected, Sender
from services.gateway.shape import name_without_values, reason_without_values, shape_of

MOST_PARTS = 5
"""How many refused parts of one request are reported."""
MOST_NAMES = 8


class Seen:
    """Gathers what is known of a request while it is answered."""

    def __init__(self, source: str, path: str) -> None:
        self.at, self._began = datetime.now(UTC), perf_counter()
        self._source, self._path = source, path
        self.sender: Sender | None = None
        self.items: Sequence[Any] = ()
        self.names: Sequence[str] = ()
        self.rejected: Sequence[Rejected] = ()
        self.ignored: Sequence[Ignored] = ()
        self.not_understood: Sequence[NotUnderstood] = ()
        self.accepted = self.duplicates = 0
        self.status = 200

    def report(self, reason: str = "") -> SeenRequest:
        """The report of the request; `reason` where all of it was refused."""
        return SeenRequest(
            at=self.at,
            source=self._source,
            path=self._path,
            sender=self.sender.scope if self.sender else "",
            by=self.sender.by if self.sender else "",
            status=self.status,
            parts=len(self.items),
            accepted=self.accepted,
            duplicates=self.duplicates,
            took=round((perf_counter() - self._began) * 1000, 1),
            reason=reason_without_values(reason),
            names=tuple(dict.fromkeys(map(name_without_values, dict.fromkeys(self.names[:50]))))[:MOST_NAMES],
            refused=tuple(self._part(one.index, one.path, one.reason) for one in self.rejected[:MOST_PARTS]),
            ignored=tuple(self._part(one.index, one.path, one.reason) for one in self.ignored[:MOST_PARTS]),
            not_understood=tuple(
                RefusedPart(
                    index=one.index,
                    name=name_without_values(one.name),
                    path="",
                    reason=reason_without_values(one.reason),
                )
                for one in self.not_understood[:MOST_PARTS]
            ),
            shape=self._shape(),
        )

    def _part(self, index: int, path: str, reason: str) -> RefusedPart:
        name = name_without_values(self.names[index]) if index < len(self.names) else ""
        return RefusedPart(
            index=index, name=name, path=reason_without_values(path), reason=reason_without_values(reason)
        )

    def _shape(self) -> tuple[str, ...]:
        if not self.items:
            return ()
        bad = [one.index for one in (*self.rejected, *self.not_understood)]
        item = self.items[bad[0] if bad and bad[0] < len(self.items) else 0]
        if isinstance(item, msgspec.Raw):
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return shape_of(msgspec.json.decode(item))
            return ()
        return shape_of(item)


def types_of(raw_events: Sequence[msgspec.Raw]) -> list[str]:
    """The types of raw events, as far as they have any."""
    found = []
    for raw in raw_events[:50]:
        name = "?"
        with suppress(msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError, InvalidField):
            name = msgspec.json.decode(raw, type=_Typed).type
        found.append(name)
    return found


class _Typed(msgspec.Struct):
    type: str = "?"
