"""Times as other systems write them: ISO 8601 with a zone, and nothing else."""

from datetime import UTC, datetime
from typing import Any

from mesh.errors import InvalidField

EXAMPLE = "2026-05-01T12:00:00Z (ISO 8601)"


def moment(given: Any, at: str, *, zone: bool = True) -> datetime:
    """A time in UTC; without `zone` one that is written without a zone is UTC. Raises InvalidField for none."""
    if not isinstance(given, str):
        raise InvalidField(at, "missing" if given is None else f"a time is a text such as {EXAMPLE}")
    try:
        found = datetime.fromisoformat(given)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidField(at, f"{given[:40]!r} is no time such as {EXAMPLE}") from None
    if zone:
        raise InvalidField(at, f"{given[:40]!r} has no time zone: write Z or an offset such as +02:00")
    return found.replace(tzinfo=UTC)
