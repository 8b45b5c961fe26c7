"""Check result: one check of an evaluation, with what its failure means."""

from datetime import datetime, timedelta

import msgspec

from mesh.channels import ChannelName
from mesh.events.offer import Check

SHORTEST_HOLD = timedelta(seconds=2)


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """A check with what its failure means: dropped with `reason`, or held until `until`.

    `about_arm`: it is about what the experiment or the margin gave, not about whether an offer may be made.
    `other_channel_open`: it closes its own channel alone, and the offer goes by another.
    """

    check: Check
    reason: str = ""
    until: datetime | None = None
    about_arm: bool = False
    other_channel_open: bool = False

    @property
    def stands_against(self) -> bool:
        """Whether it keeps the offer back."""
        return not (self.check.passed or self.other_channel_open)


def result(
    name: str,
    passed: bool,
    value: str,
    reason: str = "",
    until: datetime | None = None,
    *,
    channel: ChannelName | None = None,
) -> CheckResult:
    """A check that passed, or failed for `reason`."""
    return CheckResult(
        check=Check(name=name, passed=bool(passed), value=value, channel=channel), reason=reason, until=until
    )


def words(span: timedelta) -> str:
    """A length of time for people, such as `1.5 h`."""
    seconds = span.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{round(seconds / size, 1):g} {unit}"
    return f"{round(seconds, 1):g} s"
