"""Retry schedule: when an attempt that failed is made again."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

JITTER = 0.2
"""The most that a pause is longer than it says, as a share of it: what failed together does not come back together."""


def next_attempt(
    attempt: int, retries: Sequence[timedelta], *, now: datetime, retry_after: datetime | None, longest: timedelta
) -> datetime | None:
    """When the attempt after this one is due (aware UTC); None: this was the last.

    What the endpoint asked for (`retry_after`) is obeyed where it is later, up to `longest` from now.
    """
    if attempt > len(retries):
        return None
    due = now + retries[attempt - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311  jitter, not a secret
    asked = min(retry_after, now + longest) if retry_after else due
    return max(due, asked)
