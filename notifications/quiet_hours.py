"""Quiet hours in the shopper's own zone, through every change of the clocks."""

from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

SECOND = timedelta(seconds=1)


def zone(*candidates: str | int | None) -> tzinfo:
    """The zone of the first candidate that is one, else UTC.

    A candidate is an IANA name or the minutes east of UTC; a name nobody knows and an offset of a day or more are none.
    """
    for candidate in candidates:
        try:
            if isinstance(candidate, int):
                return timezone(timedelta(minutes=candidate))
            if candidate:
                return ZoneInfo(candidate)
        except (KeyError, ValueError, OSError):
            continue
    return UTC


def is_quiet(local: time, hours: tuple[time, time]) -> bool:
    """Whether a local time lies in the hours; the end is no longer quiet. Equal ends: never."""
    start, end = hours
    if start <= end:
        return start <= local < end
    return local >= start or local < end


def quiet_until(now: datetime, there: tzinfo, hours: tuple[time, time]) -> datetime | None:
    """The first moment after `now` (both aware UTC) that is not quiet; None when it is not quiet now.

    Where the clocks skip the end, it is the first moment behind the gap; where they repeat it, whichever comes first
    after `now`.
    """
    local = now.astimezone(there)
    if not is_quiet(local.time(), hours):
        return None
    for days in (0, 1):
        date = local.date() + timedelta(days=days)
        for fold in (0, 1):
            end = _moment(datetime.combine(date, hours[1], there).replace(fold=fold))
            if end > now and not is_quiet(end.astimezone(there).time(), hours):
                return end
    return now + timedelta(days=1)


def _moment(local: datetime) -> datetime:
    """A local time in UTC; of a time that the clocks skip, the moment at which they do."""
    before, behind = (local.replace(fold=fold).astimezone(UTC) for fold in (1, 0))
    if before >= behind:
        return local.astimezone(UTC)  # the offset in force is one of the two, or both are the same
    offset = before.astimezone(local.tzinfo).utcoffset()
    while behind - before > SECOND:  # PEP 495: in a gap fold=1 lies before the change, fold=0 behind it
        middle = before + (behind - before) / 2
        if middle.astimezone(local.tzinfo).utcoffset() == offset:
            before = middle
        else:
            behind = middle
    return (behind + SECOND / 2).replace(microsecond=0)
