"""Studio: how long marketers wait for a preview, for the overview over many decisions, and for a rehearsal."""

import asyncio
import json
import sys
from typing import Any


async def studio(region: str, figures: dict[str, Any], share: int) -> dict[str, Any]:
    """What `notifications.studio.measured` prints, in a process of its own, and to `figures` what is to be judged.

    RuntimeError where it fails.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "notifications.studio.measured", region, str(share)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the studio could not be measured: {said.decode().strip()[-500:] or process.returncode}")
    found = figures["studio"] = json.loads(printed)
    figures["judged"]["a preview p95 ms"] = found["preview_ms"]["p95"]
    if share == 1:  # of less nothing can be said about as much
        figures["judged"] |= {
            "the overview over 1,000,000 decisions p95 ms": found["overview_ms"]["p95"],
            "the same right after a start of servers and studio ms": found["overview_ms"]["first"],
            "seconds for a rehearsal of 100,000 carts": found["rehearsal"]["seconds"],
        }
    return found
