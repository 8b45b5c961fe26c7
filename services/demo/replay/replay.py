"""Replay: a shop's log through the gateways of its shoppers' home regions, faster than it happened."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from services.demo.demo_settings import WITHOUT_LIMITS
from services.demo.replay.client import Client
from services.demo.replay.pace import Pace, scaled
from services.demo.replay.shop_log import Row
from services.demo.replay.storefront_events import Storefront, home_of

STEP = 0.005
"""Rows due within these seconds of each other are sent together."""


async def play(
    log: Iterable[Row],
    storefront: Storefront,
    client: Client,
    *,
    speed: float,
    at: Callable[[Row], datetime] | None = None,
    say: Callable[[int, float], None] = lambda _done, _lag: None,
) -> float:
    """Send every row when it is due at `speed` (0: at once); the most seconds that sending ran behind.

    `at` gives the time an event carries (default: the moment it is sent). `say` is called with rows done and the lag.
    """
    clock = asyncio.get_running_loop().time
    regions, pace, worst = tuple(client.gateways), None, 0.0
    for done, row in enumerate(log):
        pace = pace or Pace(first=row.time, speed=speed, started=clock())
        while speed and (wait := pace.due(row.time) - clock()) > STEP:
            await asyncio.sleep(min(wait, 1.0))
            say(done, worst)
        worst = max(worst, pace.lag(row.time, clock()) if speed else 0.0)
        home = home_of(row.user_id, regions)
        for payload in storefront.events(row, at(row) if at else datetime.now(UTC)):
            client.send(home, payload)
        if done % 100 == 0:
            await asyncio.sleep(0)
    await client.flush()
    return worst


def settings_for(*, speed: float, abandon_after: timedelta) -> dict[str, str]:
    """Settings of the services for a run at `speed`: delays scaled alike, the score's limit as it is.

    Quiet hours and the least time between two contacts are off: they would hold offers for hours that no replay waits.
    """
    after = scaled(abandon_after, speed, least=timedelta(milliseconds=500))
    return {"CARTMESH_ABANDON_AFTER": f"{round(after.total_seconds() * 1000)}ms", **WITHOUT_LIMITS}
