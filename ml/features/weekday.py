"""The day of the week in the shopper's zone, 0 Monday to 6 Sunday; in UTC where no step of theirs has the zone."""

from ml.features import Feature
from ml.features.hour import local, zone

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

feature = Feature(
    scope="visitor",
    update=zone,
    value=lambda minutes, now: ((now + minutes * 60) // 86_400 + 3) % 7,  # 1970 began on a Thursday
    expression=lambda: ((local() / 86_400).floor() + 3) % 7,
    describe=lambda value: f"comes on a {_DAYS[int(value) % 7]}",
)
