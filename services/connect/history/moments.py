"""Moments: the times of a column, as its mapping says that they are written."""

import polars as pl

from services.connect.history.mapping import TimeColumn

UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
EARLIEST, LATEST = "1995-01-01", "2100-01-01"


def moments(written: pl.Series, time: TimeColumn) -> pl.Series:
    """The times in UTC; null for what is not written so, and for a time that its zone does not have or has twice."""
    if isinstance(written.dtype, pl.Datetime):
        if written.dtype.time_zone is not None:
            return written.dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))
        return _placed(written.cast(pl.Datetime("us")), time.zone)
    text = written.cast(pl.String, strict=False).str.strip_chars()
    if unit := UNITS.get(time.format):
        plain = text.str.replace(r"\.0+$", "")
        whole = pl.select(pl.when(plain.str.contains(r"^\d{9,17}$")).then(plain).alias("x")).to_series()
        found = (whole.cast(pl.Int64, strict=False) * unit).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        years = found.dt.year()
        return pl.select(pl.when((years >= 1995) & (years < 2100)).then(found).alias("x")).to_series()
    if time.format == "iso":
        return _iso(text, time.zone)
    pattern = time.format
    if time.zone is None:
        return text.str.to_datetime(pattern, strict=False, time_unit="us", time_zone="UTC")
    return _placed(text.str.to_datetime(pattern, strict=False, time_unit="us"), time.zone)


def _iso(text: pl.Series, zone: str | None) -> pl.Series:
    """ISO 8601 with `T` or a space, with or without fractions and seconds; without an offset only in a given zone."""
    usual = text.str.replace(r"^(\d{4}-\d{2}-\d{2}) +", "${1}T").str.replace(r"[Zz]$|\s*UTC$", "+00:00")
    usual = usual.str.replace(r"T(\d{2}:\d{2})([+-]|$)", "T${1}:00${2}").str.replace(r"([+-]\d{2})$", "${1}:00")
    offset = usual.str.contains(r"T.*[+-]\d{2}:?\d{2}$")
    with_offset = usual.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", strict=False, time_unit="us", time_zone="UTC")
    if zone is None:
        return with_offset
    bare = pl.select(pl.when(~offset).then(usual).alias("x")).to_series()
    placed = _placed(bare.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us"), zone)
    return pl.select(pl.when(offset).then(with_offset).otherwise(placed).alias("x")).to_series()


def _placed(naive: pl.Series, zone: str | None) -> pl.Series:
    if zone is None:
        return pl.Series([None] * len(naive), dtype=pl.Datetime("us", "UTC"))
    there = naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
    return there.dt.convert_time_zone("UTC")
