"""Retry-After: when a server that answers asks to be asked again."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime


def retry_after(value: str | None, now: datetime) -> datetime | None:
    """The time that a Retry-After header asks for (RFC 9110, 10.2.3): seconds or a date; None for anything else."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return now + timedelta(seconds=int(text))
    try:
        parsed = parsedate_to_datetime(text)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
