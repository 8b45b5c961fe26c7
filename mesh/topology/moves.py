"""Moves: subjects that change their stream, and durables that change their name.

Messages do not move, so nobody would read them any more; a durable's place is not the new one's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mesh.event import declared
from mesh.subjects import every, matches, overlap
from mesh.topology.derive.nats import Config
from mesh.topology.differences import filters_of


@dataclass(frozen=True, kw_only=True)
class Move:
    """A subject that a live stream takes, and another stream from now on. `declared`: whether the first one stays."""

    subject: str
    stream: str
    to: str
    declared: bool


def moves(live: Mapping[str, Config], wanted: Mapping[str, Config]) -> Iterator[Move]:
    """Every subject of a live stream that another stream is to take; configurations by the streams' names."""
    homes = [(subject, name) for name, config in wanted.items() for subject in config.get("subjects") or ()]
    for stream, config in live.items():
        kept = (wanted.get(stream) or {}).get("subjects") or ()
        for subject in config.get("subjects") or ():
            taken = [name for other, name in homes if name != stream and overlap(other, subject)]
            if taken and subject not in kept:
                yield Move(subject=subject, stream=stream, to=taken[0], declared=stream in wanted)


def renamings(
    wanted: Mapping[tuple[str, str], Config], live: Mapping[tuple[str, str], Config]
) -> dict[tuple[str, str], str]:
    """New durables that deliver just what one delivers that nobody declares any more: (stream, new) -> old.

    By (stream, durable). A renamed handler would otherwise begin again at the oldest event.
    """
    gone = {place: filters_of(config) for place, config in live.items() if place not in wanted}
    return {
        (stream, durable): old
        for (stream, durable), config in wanted.items()
        if (stream, durable) not in live and config.get("deliver_policy") == "all"
        for (of, old), filters in gone.items()
        if of == stream and filters == filters_of(config) and _service(old) == _service(durable)
    }


def _service(durable: str) -> str:
    return durable.partition("-")[0]


def lasting(held: Mapping[str, int], region: str) -> int:
    """How many messages there are, by subject, without those that expire soon: carriers and events with a lifetime."""
    brief = [every(one, region=region) for one in declared() if one.ttl is not None and not one.personal]
    brief.append(f"carrier.{region}.>")
    return sum(count for subject, count in held.items() if not any(matches(pattern, subject) for pattern in brief))
