"""Studio: how long marketers wait for a preview, the overview, a rehearsal, and until regions use what is published."""

import asyncio
import json
import sys
from typing import Any


async def studio(region: str, figures: dict[str, Any], share: int) -> dict[str, Any]:
    """What the two modules print that measure it, in processes of their own, and to `figures` what is to be judged.

    RuntimeError where one fails.
    """
    found = figures["studio"] = await _printed("notifications.studio.measured", region, str(share))
    found["published_ms"] = await _printed("notifications.documents.measured", str(share))
    figures["judged"] |= {
        "a preview p95 ms": found["preview_ms"]["p95"],
        "a published journey decided with in three regions p99 ms": max(
            one["p99"] for one in found["published_ms"].values()
        ),
    }
    if share == 1:  # of less nothing can be said about as much
        figures["judged"] |= {
            "the overview over 1,000,000 decisions p95 ms": found["overview_ms"]["p95"],
            "the same right after a start of servers and studio ms": found["overview_ms"]["first"],
            "seconds for a rehearsal of 100,000 carts": found["rehearsal"]["seconds"],
        }
    return found


async def _printed(module: str, *arguments: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the studio could not be measured: {said.decode().strip()[-500:] or process.returncode}")
    measured: dict[str, Any] = json.loads(printed)
    return measured
