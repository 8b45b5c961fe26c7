"""The hour of the day in the shopper's zone, 0 to 23; in UTC where no step of theirs has the zone."""

from ml.clickstream.lookback import newest, pl
from ml.clickstream.steps import Step
from ml.features import Feature


def zone(minutes: int, step: Step) -> int:
    """The shopper's newest known distance from UTC, minutes east."""
    return minutes if step.utc_offset is None else step.utc_offset


def local() -> "pl.Expr":
    """The shopper's clock in seconds."""
    return pl.col("at") + newest("utc_offset", pl.col("utc_offset").is_not_null(), otherwise=0) * 60


feature = Feature(
    scope="visitor",
    update=zone,
    value=lambda minutes, now: (now + minutes * 60) // 3_600 % 24,
    expression=lambda: (local() / 3_600).floor() % 24,
    describe=lambda value: f"comes at {value:02.0f} o'clock",
)
