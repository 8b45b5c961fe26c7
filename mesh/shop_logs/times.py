"""Times: ISO 8601, dotted and slashed dates, zones by offset or name, seconds to nanoseconds since 1970."""

import polars as pl

from mesh.shop_logs.delimited import LINE
from mesh.shop_logs.source import Source
from mesh.shop_logs.style import DateOrder, Style, UnreadableLog

UTC_TIME = pl.Datetime("us", "UTC")
ZONES = {
    "Z": 0, "UTC": 0, "GMT": 0, "WET": 0, "WEST": 60, "CET": 60, "CEST": 120, "EET": 120, "EEST": 180, "MSK": 180,
    "EST": -300, "EDT": -240, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420,
    "JST": 540, "AEST": 600, "AEDT": 660,
}  # fmt: skip
"""Minutes east of UTC. Left out is what means several zones: CST, IST, BST."""

NUMBER = r"^\d{9,19}(?:\.\d+)?$"
DATE = r"^(\d{1,4})([-/.])(\d{1,2})[-/.](\d{1,4})"
CLOCK = r"^[T ]+(\d{1,2}):(\d{2})(?::(\d{2}))?(?:[.,](\d{1,9}))?\s*(?i:(AM|PM)\b)?"
ZONE = r"([A-Za-z]{1,4}|[+-]\d{2}:?(?:\d{2})?)$"
NEITHER = r"^\d{1,2}[-/]\d{1,2}[-/]\d{4}"
"""A date whose day and month can be either way round."""


def order_of(found: Source, column: str, style: Style) -> DateOrder:
    """Whether days or months stand first in dates such as 01/10/2019: as `style` says, else as the file decides."""
    if style.dates:
        return style.dates
    text = pl.col(column).str.strip_chars()
    dates = found.frame.select(LINE, text=text).filter(pl.col("text").str.contains(NEITHER))
    first = pl.col("text").str.extract(r"^(\d+)").cast(pl.Int64)
    second = pl.col("text").str.extract(r"^\d+[-/](\d+)").cast(pl.Int64)
    days, months = first > 12, second > 12
    decided = dates.select(
        count=pl.len(),
        line=pl.col(LINE).first(),
        text=pl.col("text").first(),
        days=pl.col(LINE).filter(days).first(),
        months=pl.col(LINE).filter(months).first(),
    ).collect()
    count, at, written, day, month = decided.row(0)
    if count and day is None and month is None:
        raise UnreadableLog(
            f"{found.path}, {found.at(at)}: {written!r} can be read day first or month first, and no date of the file"
            " decides it; say which with --dates day-first or --dates month-first"
        )
    if day is not None and month is not None:
        raise UnreadableLog(
            f"{found.path}: the date of {found.at(day)} has its day first, that of {found.at(month)} its"
            " month; say which the file means with --dates day-first or --dates month-first: the others are left out"
        )
    return "month-first" if month is not None else "day-first"


def parsed(written: pl.Series, order: DateOrder) -> pl.Series:
    """Times as UTC; null for what is no time. A time without a zone is UTC."""
    usual = written.str.strip_chars().str.strip_suffix(" UTC")
    found = usual.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us", exact=True)
    found = found.dt.replace_time_zone("UTC")
    missing = found.is_null() & written.is_not_null()
    if not missing.any():
        return found
    others = written.filter(missing).to_frame("text").select(_other(order)).to_series()
    places = missing.arg_true()
    return found.scatter(places, others)


def from_number(number: pl.Expr) -> pl.Expr:
    """Seconds, milliseconds, microseconds or nanoseconds since 1970, by their size: years 1973 to 5138."""
    seconds = (
        pl.when(number < 1e11).then(number * 1e6)
        .when(number < 1e14).then(number * 1e3)
        .when(number < 1e17).then(number)
        .otherwise(number / 1e3)
    )  # fmt: skip
    return pl.when(number >= 1e8).then(seconds.round().cast(pl.Int64, strict=False)).cast(UTC_TIME)


def _other(order: DateOrder) -> pl.Expr:
    text = pl.col("text").str.strip_chars()
    a, b, c = (text.str.extract(DATE, at) for at in (1, 3, 4))
    iso = a.str.len_chars() == 4
    day_first = (text.str.extract(DATE, 2) == ".") | pl.lit(order == "day-first")
    year = _whole(pl.when(iso).then(a).when(c.str.len_chars() == 4).then(c))
    month = _whole(pl.when(iso | day_first).then(b).otherwise(a))
    day = _whole(pl.when(iso).then(c).when(day_first).then(a).otherwise(b))
    rest = text.str.replace(DATE, "")
    hour, half = _whole(rest.str.extract(CLOCK, 1)), rest.str.extract(CLOCK, 5).str.to_uppercase()
    hour = pl.when(half.is_null()).then(hour).when(hour.is_between(1, 12)).then(hour % 12 + 12 * (half == "PM"))
    fraction = rest.str.extract(CLOCK, 4).str.pad_end(9, "0").str.slice(0, 6)
    zone = rest.str.replace(CLOCK, "").str.strip_chars()
    offset = zone.str.to_uppercase().replace_strict(ZONES, default=None, return_dtype=pl.Int32)
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    digits = zone.str.extract(r"^[+-](\d{2}:?(?:\d{2})?)$").str.replace(":", "").str.pad_end(4, "0")
    minutes = sign * (_whole(digits.str.slice(0, 2)) * 60 + _whole(digits.str.slice(2, 2)))
    east = pl.when(zone == "").then(0).otherwise(pl.coalesce(offset, minutes))
    clock = [hour.fill_null(0), *(_whole(rest.str.extract(CLOCK, at)).fill_null(0) for at in (2, 3))]
    is_time = (rest.str.strip_chars() == "") | hour.is_not_null()
    stamp = pl.format(
        "{}-{}-{} {}:{}:{}.{}", year, *(one.cast(pl.String).str.zfill(2) for one in (month, day, *clock)),
        fraction.fill_null("000000"),
    ).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us").dt.replace_time_zone("UTC")  # fmt: skip
    number = pl.when(text.str.contains(NUMBER)).then(text)
    since = from_number(number.cast(pl.Float64, strict=False))
    return pl.coalesce(since, pl.when(is_time).then(stamp - pl.duration(minutes=east)))


def _whole(digits: pl.Expr) -> pl.Expr:
    return digits.cast(pl.Int32, strict=False)
