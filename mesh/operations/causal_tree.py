"""Causes: events of a trace as the tree of what followed from what, from the log alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from mesh.broker.protocol import Message
from mesh.envelope import Envelope, open_envelope, region_of
from mesh.errors import InvalidEvent
from mesh.observability.tracing import trace_id

Place = tuple[str, str]
"""An event's id and its region: a storefront may send the same event to two."""


class Happening(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event's place in a story: no data of it, so nothing personal.

    `stored` is when its region's stream took it (a copy's time where only a copy is known), `received` when each other
    region's copy did. `due` is set while it is a timer that has not fired. `dead_letters` are handlers that gave it up,
    with their reasons. `mentions` are the ids of other events in its data.
    """

    id: str
    type: str
    key: str
    region: str
    service: str
    time: datetime
    stored: datetime
    trace: str | None = None
    cause: str | None = None
    due: datetime | None = None
    received: dict[str, datetime] = {}
    dead_letters: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """An event and what followed from it, in the order of the log."""

    event: Happening
    followed: tuple["Branch", ...] = ()


def happening(message: Message, *, here: str, copy: bool = False) -> Happening | None:
    """A stored message of the region `here` as part of a story; None when it is no event of ours."""
    try:
        envelope = open_envelope(message.body)
        data = msgspec.json.decode(envelope.data)
    except (InvalidEvent, msgspec.DecodeError):
        return None
    region = region_of(envelope)
    return Happening(
        id=envelope.id,
        type=envelope.type,
        key=envelope.subject,
        region=region,
        service=envelope.source.rpartition("/")[2],
        time=envelope.time,
        stored=message.stored,
        trace=trace_id(envelope.traceparent),
        cause=envelope.cause,
        due=envelope.time if message.subject.startswith("timer.") else None,
        received={here: message.stored} if copy and here != region else {},
        mentions=tuple(_strings(data)),
        keys=tuple(_keys(envelope, data)),
    )


def together(one: Happening, other: Happening) -> Happening:
    """Merge two messages of one event: its own region's message wins, a copy adds where else it was received."""
    home, copy = (other, one) if one.received and not other.received else (one, other)
    if home.due and not copy.due:
        home, copy = copy, home  # it has fired since
    return msgspec.structs.replace(home, received=home.received | copy.received)


def forest(events: Iterable[Happening]) -> list[Branch]:
    """Trees of causes, oldest first. The cause is the envelope's, else the latest event that the data names."""
    known = {(one.id, one.region): one for one in sorted(events, key=lambda one: one.due or one.stored)}
    by_id: dict[str, list[Happening]] = {}
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
    """The trees as lines: seconds since the first event, region, type, key, service, id."""
    rows = list(_rows(branches, ""))
    if not rows:
        return
    first = min(event.stored for _, event in rows if not event.due)
    widths = [max(len(indent + event.type) for indent, event in rows), max(len(event.key) for _, event in rows)]
    for indent, event in rows:
        at = f"due {event.due:%H:%M:%S}" if event.due else f"+{_seconds(event.stored - first)}"
        yield (
            f"{at:>12}  {event.region:<4} {indent + event.type:<{widths[0]}}  {event.key:<{widths[1]}}  "
            f"{event.service:<10} {event.id}{_notes(event)}"
        )


def _notes(event: Happening) -> str:
    received = "".join(
        f"; received in {region} {_seconds(at - event.stored)} later"
        if at != event.stored
        else f"; found only in {region}"
        for region, at in sorted(event.received.items())
    )
    return received + "".join(f"\n{'':>18}DEAD LETTER of {reason}" for reason in event.dead_letters)


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.3f} s"


def _rows(branches: Iterable[Branch], indent: str) -> Iterator[tuple[str, Happening]]:
    for branch in branches:
        yield indent, branch.event
        yield from _rows(branch.followed, indent + "  ")


def _cause(one: Happening, by_id: Mapping[str, Sequence[Happening]]) -> Place | None:
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


def _strings(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        yield from (value for value in data.values() if isinstance(value, str) and len(value) >= 8)


def _keys(envelope: Envelope, data: Any) -> Iterator[str]:
    """Under which keys the rest of the story may be: products are in everybody's, so theirs are not followed."""
    yield envelope.subject
    if isinstance(data, dict):
        for name, value in data.items():
            if name.endswith("_id") and name != "product_id" and isinstance(value, str):
                yield value
