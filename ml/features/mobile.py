"""1 when the session's newest known device is a phone, 0 when it is another, -1 when none is known."""

from ml.clickstream.lookback import newest, pl
from ml.features import Feature

PHONES = ("mobile", "phone")

feature = Feature(
    scope="session",
    begin=-1.0,
    update=lambda phone, step: phone if step.device is None else float(step.device in PHONES),
    expression=lambda: newest(
        pl.col("device").is_in(PHONES).cast(float), pl.col("device").is_not_null(), otherwise=-1.0
    ),
    describe=lambda value: {1: "uses a phone", 0: "uses no phone"}.get(int(value), "uses an unknown device"),
)
