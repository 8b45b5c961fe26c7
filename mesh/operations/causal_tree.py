"""Causal tree: stored events as the tree of what followed from what, and that tree as lines of text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from mesh.broker.protocol import Message
from mesh.envelope import open_envelope, region_of
from mesh.errors import InvalidEvent
from mesh.observability.tracing import trace_id
from mesh.operations.events import without_personal_values

SHORTEST_ID = 8
"""Characters that an event's id has at least where it is looked for in data."""
LONGEST_IN_SECONDS = timedelta(hours=1)
Place = tuple[str, str]
"""An event's id and its region: a storefront may send the same event to two."""


class TracedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event with its data, and its place in a story. Personal values are `(personal)` unless they were asked for.

    `stored` is when its region's stream took it (a copy's time where only a copy is known), `received` when each other
    region's copy did. `due` is set while it is a timer that has not fired. `dead_letters` are handlers that gave it up,
    with their reasons.
    """

    id: str
    type: str
    key: str
    region: str
    service: str
    time: datetime
    stored: datetime
    data: dict[str, Any] = {}
    trace: str | None = None
    cause: str | None = None
    due: datetime | None = None
    received: dict[str, datetime] = {}
    dead_letters: tuple[str, ...] = ()

    @property
    def mentions(self) -> tuple[str, ...]:
        """Values in its data that may be ids of other events."""
        return tuple(value for value in self.data.values() if isinstance(value, str) and len(value) >= SHORTEST_ID)

    @property
    def keys(self) -> tuple[str, ...]:
        """Under which keys the rest of the story may be: products are in everybody's, so theirs are not followed."""
        named = (value for name, value in self.data.items() if name.endswith("_id") and name != "product_id")
        return tuple(dict.fromkeys((self.key, *(value for value in named if isinstance(value, str)))))


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """An event and what followed from it, in the order of the log."""

    event: TracedEvent
    followed: tuple["Branch", ...] = ()


def traced_event(message: Message, *, here: str, copy: bool = False) -> TracedEvent | None:
    """A stored message of the region `here` as part of a story; None when it is no event of ours."""
    try:
        envelope = open_envelope(message.body)
        data = msgspec.json.decode(envelope.data)
    except (InvalidEvent, msgspec.DecodeError):
        return None
    region = region_of(envelope)
    shown = without_personal_values(envelope.type, message.subject, data) if isinstance(data, dict) else {}
    return TracedEvent(
        id=envelope.id,
        type=envelope.type,
        key=envelope.subject,
        region=region,
        service=envelope.source.rpartition("/")[2],
        time=envelope.time,
        stored=message.stored,
        data=shown,
        trace=trace_id(envelope.traceparent),
        cause=envelope.cause,
        due=envelope.time if message.subject.startswith("timer.") else None,
        received={here: message.stored} if copy and here != region else {},
    )


def together(one: TracedEvent, other: TracedEvent) -> TracedEvent:
    """Merge two messages of one event: its own region's message wins, a copy adds where else it was received."""
    home, copy = (other, one) if one.received and not other.received else (one, other)
    if home.due and not copy.due:
        home, copy = copy, home  # it has fired since
    return msgspec.structs.replace(home, received=home.received | copy.received)


def forest(events: Iterable[TracedEvent]) -> list[Branch]:
    """Trees of causes, oldest first. The cause is the envelope's, else the latest event that the data names."""
    known = {(one.id, one.region): one for one in sorted(events, key=lambda one: one.due or one.stored)}
    by_id: dict[str, list[TracedEvent]] = {}
    for one in known.values():
        by_id.setdefault(one.id, []).append(one)
    above = {at: _cause(one, by_id) for at, one in known.items()}
    below: dict[Place | None, list[Place]] = {}
    for at in known:
        below.setdefault(_without_circles(at, above), []).append(at)

    def branch(at: Place) -> Branch:
        return Branch(event=known[at], followed=tuple(branch(following) for following in below.get(at, ())))

    return [branch(at) for at in below.get(None, ())]


def tree_lines(branches: Iterable[Branch]) -> Iterator[str]:
    """The trees as lines: when, region, type, key, service and id of each event, and below each its data.

    Times are seconds since the first event where all of it took less than an hour, and otherwise times in UTC.
    """
    rows = list(_rows(branches, ""))
    if not rows:
        return
    times = [event.stored for _, event in rows if not event.due] or [event.stored for _, event in rows]
    first = min(times) if max(times) - min(times) < LONGEST_IN_SECONDS else None
    widths = [max(len(indent + event.type) for indent, event in rows), max(len(event.key) for _, event in rows)]
    for indent, event in rows:
        yield (
            f"{_when(event, first):>19}  {event.region:<4} {indent + event.type:<{widths[0]}}  "
            f"{event.key:<{widths[1]}}  {event.service:<10} {event.id}{_notes(event)}"
        )
        yield from (f"{'':>26}{indent}{line}" for line in _data_lines(event))


def _when(event: TracedEvent, first: datetime | None) -> str:
    if event.due:
        return f"due {event.due:%m-%d %H:%M:%S}"
    return f"{event.stored:%Y-%m-%d %H:%M:%S}" if first is None else f"+{_seconds(event.stored - first)}"


def _data_lines(event: TracedEvent) -> Iterator[str]:
    """The data in one line, each value as JSON; the checks of a decision below it, each in a line of its own."""
    checks = event.data.get("checks")
    apart = checks if isinstance(checks, list) and all(isinstance(one, dict) for one in checks) else []
    shown = {
        name: value
        for name, value in event.data.items()
        if value is not None and value != event.key and not (apart and name == "checks")
    }
    if shown:
        yield "  ".join(f"{name}={msgspec.json.encode(value).decode()}" for name, value in shown.items())
    for check in apart:
        value = msgspec.json.encode(check.get("value")).decode()
        yield f"{'passed' if check.get('passed') else 'FAILED'} {check.get('name')}: {value}"


def _notes(event: TracedEvent) -> str:
    received = "".join(
        f"; received in {region} {_seconds(at - event.stored)} later"
        if at != event.stored
        else f"; found only in {region}"
        for region, at in sorted(event.received.items())
    )
    return received + "".join(f"\n{'':>26}DEAD LETTER of {reason}" for reason in event.dead_letters)


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.3f} s"


def _rows(branches: Iterable[Branch], indent: str) -> Iterator[tuple[str, TracedEvent]]:
    for branch in branches:
        yield indent, branch.event
        yield from _rows(branch.followed, indent + "  ")


def _cause(one: TracedEvent, by_id: Mapping[str, Sequence[TracedEvent]]) -> Place | None:
    named = by_id.get(one.cause or "") or [
        other for id_ in one.mentions if id_ != one.id for other in by_id.get(id_, ())
    ]
    if not named:
        return None
    nearest = max(named, key=lambda other: (other.region == one.region, other.stored))
    return nearest.id, nearest.region


def _without_circles(place: Place, above: dict[Place, Place | None]) -> Place | None:
    """Its parent, unless that leads back to itself: a forged envelope must not hide a tree."""
    at, seen = above[place], {place}
    while at is not None and at not in seen:
        seen.add(at)
        at = above[at]
    if at is not None:
        above[place] = None
    return above[place]
