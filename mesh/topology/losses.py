"""Losses: what a change of a stream would drop, or keep fewer copies of. Nobody gets it back: it is never unasked."""

from collections.abc import Mapping
from datetime import timedelta

from mesh.topology.derive.nats import Config

_LIMITS: Mapping[str, str] = {
    "max_age": "what has an age",
    "max_bytes": "bytes",
    "max_msgs": "messages",
    "max_msgs_per_subject": "messages of a subject",
}


def losses(wanted: Config, live: Config, held: int | None = None) -> list[str]:
    """What is lost when the stream `live` becomes `wanted`, each as a phrase; nothing where it keeps as much.

    `held`: the bytes that it holds now, where they are known: a quota above them deletes nothing.
    """
    found = [
        f"{words} above {_amount(name, wanted[name])} would be deleted, up to {_amount(name, live.get(name))} is kept"
        for name, words in _LIMITS.items()
        if live and name in wanted and _limit(wanted[name]) < _limit(live.get(name))
        if not (name == "max_bytes" and held is not None and held <= wanted[name])
    ]
    copies, had = wanted.get("num_replicas", 1), live.get("num_replicas", 1)
    if live and copies < had:
        found.append(f"{copies} of {had} copies would be left")
    return found


def has_smaller_quota(wanted: Config, live: Config) -> bool:
    """Whether a stream would be given fewer bytes than it may take now."""
    return _limit(wanted.get("max_bytes")) < _limit(live.get("max_bytes"))


def _limit(value: int | None) -> float:
    """A limit of JetStream: 0 and below are none."""
    return value if value and value > 0 else float("inf")


def _amount(name: str, value: int | None) -> str:
    if _limit(value) == float("inf"):
        return "any"
    return _duration(value or 0) if name == "max_age" else f"{value:,}"


def _duration(nanoseconds: int) -> str:
    time = timedelta(microseconds=nanoseconds / 1000)
    return f"{time.days}d" if time == timedelta(days=time.days) else str(time)
