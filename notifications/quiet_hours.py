"""Quiet hours in the shopper's own zone, through every change of the clocks."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


def zone(name: str | None, fallback: str = "") -> ZoneInfo | None:
    """The zone of an IANA name, else the fallback's, else None. A name nobody knows counts as none."""
    for candidate in (name, fallback):
        try:
            if candidate:
                return ZoneInfo(candidate)
        except (KeyError, ValueError, OSError):
            continue
    return None


def is_quiet(local: time, hours: tuple[time, time]) -> bool:
    """Whether a local time lies in the hours; the end is no longer quiet. Equal ends: never."""
    start, end = hours
    if start <= end:
        return start <= local < end
    return local >= start or local < end


def quiet_until(now: datetime, there: ZoneInfo, hours: tuple[time, time]) -> datetime | None:
    """The first moment after `now` (both aware UTC) that is not quiet; None when it is not quiet now.

    Where the clocks skip the end, the end is the first minute behind the gap; where they repeat it,
    whichever comes first after `now`.
    """
    local = now.astimezone(there)
    if not is_quiet(local.time(), hours):
        return None
    for days in (0, 1):
        date = local.date() + timedelta(days=days)
        for fold in (0, 1):
            end = datetime.combine(date, hours[1], there).replace(fold=fold).astimezone(UTC)
            if end > now and not is_quiet(end.astimezone(there).time(), hours):
                return end
    return now + timedelta(days=1)
