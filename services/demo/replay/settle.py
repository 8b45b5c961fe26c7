"""Settle: wait until every timer has fired and everything that was set off has come to its end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from mesh.errors import Unavailable
from services.demo.replay.collector import Collector
from services.demo.replay.evidence import Evidence, Sent
from services.demo.replay.offers import abandonments
from services.demo.replay.report import lost, missing_copies

HORIZON = timedelta(minutes=5)
"""Timers due later than this (held until the morning, a reminder in a day) are not waited for."""


async def settle(
    collector: Collector,
    sent: list[Sent],
    *,
    patience: timedelta,
    say: Callable[[str], None] = lambda _: None,
    every: float = 0.5,
) -> str | None:
    """Look until nothing is left to come, twice in a row; None then, else what was left when patience ended."""
    clock = asyncio.get_running_loop().time
    deadline, quiet, left = clock() + patience.total_seconds(), 0, "nothing could be read"
    while clock() < deadline:
        with suppress(Unavailable):
            timers = await collector.pending(until=datetime.now(UTC) + HORIZON)
            evidence = await collector.collect()
            evidence.sent = sent
            left = unfinished(evidence, timers)
            quiet = 0 if left else quiet + 1
            if quiet == 2:
                return None
            say(left or "settled")
        await asyncio.sleep(every)
    return f"after {patience.total_seconds():.0f} s there are still {left}"


def unfinished(evidence: Evidence, timers: int) -> str:
    """What is still to come, as text; empty when nothing is."""
    left = abandonments(evidence)
    counts = {
        "timers to fire": timers,
        "abandoned carts without a decision": sum(one.decided is None for one in left),
        "offers without an outcome": sum(one.decided is not None and not one.settled for one in left),
        "acknowledged events not found yet": len(lost(evidence)),
        "events on their way to other regions": len(missing_copies(evidence)),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)
