"""Moves: subjects that change their stream. Their messages do not move, so nobody would read them any more."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mesh.event import declared
from mesh.subjects import every, matches, overlap
from mesh.topology.derive.nats import Config


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


def lasting(held: Mapping[str, int], region: str) -> int:
    """How many messages there are, by subject, without those that expire soon: carriers and events with a lifetime."""
    brief = [every(one, region=region) for one in declared() if one.ttl is not None and not one.personal]
    brief.append(f"carrier.{region}.>")
    return sum(count for subject, count in held.items() if not any(matches(pattern, subject) for pattern in brief))
