"""Quiet hours: held to their end in every zone, through every change of the clocks."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.quiet_hours import is_quiet, quiet_until

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia")
NIGHT = (time(22), time(8))


@pytest.mark.parametrize(
    ("there", "now", "until"),
    [
        ("Europe/Berlin", "2026-11-20T22:30+00:00", "2026-11-21T07:00+00:00"),
        ("Europe/Berlin", "2026-03-28T22:30+00:00", "2026-03-29T06:00+00:00"),  # the clocks go forward that night
        ("Europe/Berlin", "2026-10-24T21:30+00:00", "2026-10-25T07:00+00:00"),  # and back in this one
        ("America/New_York", "2026-11-20T12:59+00:00", "2026-11-20T13:00+00:00"),
        ("Asia/Kolkata", "2026-11-20T20:00+00:00", "2026-11-21T02:30+00:00"),
    ],
)
def test_the_night_ends_at_eight_where_the_shopper_lives(there, now, until):
    """Whatever the clocks do in between."""
    held = quiet_until(datetime.fromisoformat(now), ZoneInfo(there), NIGHT)

    assert held == datetime.fromisoformat(until)


@pytest.mark.parametrize(
    ("there", "now", "until"),
    [
        ("Europe/Berlin", "2026-03-29T00:15+00:00", "2026-03-29T01:00+00:00"),  # 02:30 is skipped: at 03:00
        ("America/New_York", "2026-03-08T06:15+00:00", "2026-03-08T07:00+00:00"),
        ("Australia/Lord_Howe", "2026-10-03T15:15+00:00", "2026-10-03T15:30+00:00"),  # skips 02:00 to 02:30
        ("Europe/Berlin", "2026-10-24T23:15+00:00", "2026-10-25T00:30+00:00"),  # 02:30 comes twice: at the first
        ("Europe/Berlin", "2026-10-25T01:15+00:00", "2026-10-25T01:30+00:00"),  # quiet again between 02:00 and 02:30
    ],
)
def test_an_end_that_the_clocks_skip_or_repeat_is_the_first_moment_at_or_behind_it(there, now, until):
    """Quiet from 22:00 to 02:30, in the night in which the clocks change."""
    held = quiet_until(datetime.fromisoformat(now), ZoneInfo(there), (time(22), time(2, 30)))

    assert held == datetime.fromisoformat(until)


def test_by_day_nobody_waits():
    """Twelve in Berlin is not quiet; and hours that end where they begin are none."""
    noon = datetime(2026, 11, 20, 11, tzinfo=UTC)

    assert quiet_until(noon, ZoneInfo("Europe/Berlin"), NIGHT) is None
    assert not is_quiet(time(8), (time(8), time(8)))


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  a range
    st.sampled_from(ZONES),
    st.times(),
    st.times(),
)
def test_the_end_is_later_within_a_day_and_not_quiet(now, there, start, end):
    """For all hours, zones and moments of a year."""
    hours = (start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0))
    until = quiet_until(now, ZoneInfo(there), hours)

    if until is None:
        assert not is_quiet(now.astimezone(ZoneInfo(there)).time(), hours)
    else:
        assert now < until <= now + timedelta(hours=25)
        assert not is_quiet(until.astimezone(ZoneInfo(there)).time(), hours)
