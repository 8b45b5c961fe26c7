"""Audiences: how many carts a second one core decides on for a thousand journeys of a hundred conditions each."""

import asyncio
import json
import sys

JOURNEYS, CONDITIONS = 1_000, 100
SECONDS = 10.0


async def audience_rate(share: int) -> dict[str, float]:
    """What `cartmesh journeys rate` prints, in a process of its own. RuntimeError where it fails."""
    words = ("--journeys", str(JOURNEYS), "--conditions", str(CONDITIONS), "--seconds", str(SECONDS / share))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mesh.cli", "journeys", "rate", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"cartmesh journeys rate: {said.decode().strip() or process.returncode}")
    return json.loads(printed)
