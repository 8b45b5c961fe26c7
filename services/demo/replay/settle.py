"""Settle: wait until every timer has fired and everything that was set off has come to its end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from mesh.errors import Unavailable
from services.demo.replay.collector import Witness
from services.demo.replay.evidence import Evidence, Sent
from services.demo.replay.offers import stories
from services.demo.replay.report import lost, missing_copies

HORIZON = timedelta(minutes=5)
"""Timers due later than this (held until the morning, a reminder in a day) are not waited for."""


async def settle(
    witness: Witness,
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
            timers = await witness.pending(until=datetime.now(UTC) + HORIZON)
            evidence = await witness.look()
            evidence.sent = sent
            left = unfinished(evidence, timers)
            quiet = 0 if left else quiet + 1
            if quiet == 2:
                return None
            say(left or "settled")
        await asyncio.sleep(every)
    return f"after {patience.total_seconds():.0f} s there are still {left}"


def unfinished(evidence: Evidence, timers: int) -> str:
    """What is still to come, in words; empty when nothing is."""
    told = stories(evidence)
    counts = {
        "timers to fire": timers,
        "abandoned carts without a decision": sum(story.decided is None for story in told),
        "offers without an outcome": sum(story.decided is not None and not story.settled for story in told),
        "acknowledged events not found yet": len(lost(evidence)),
        "events on their way to other regions": len(missing_copies(evidence)),
    }
    return ", ".join(f"{count} {words}" for words, count in counts.items() if count)
