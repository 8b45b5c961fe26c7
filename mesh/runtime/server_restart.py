"""Server restart: an embedded server that dies is started again, as an orchestrator would, and both are reported."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from mesh.errors import MeshError
from mesh.runtime.process import Process

PAUSE = 0.5
"""Seconds before a server that died is started again."""
MOST_PAUSE = 30.0
"""The pause doubles up to this while it cannot be started."""


async def restart_dead_server(
    name: str,
    running: Mapping[str, Process],
    launch: Callable[[str], Awaitable[None]],
    report: Callable[[str], None],
) -> None:
    """Watch a server until cancelled. One that is no longer in `running` was stopped on purpose and is left alone."""
    pause = PAUSE
    while True:
        process = running.get(name)
        if process is None:
            await asyncio.sleep(PAUSE)
            continue
        code = await process.wait()
        if running.get(name) is not process:
            continue
        report(f"server {name} ended unexpectedly (exit code {code}); starting it again")
        await asyncio.sleep(pause)
        try:
            await launch(name)
        except MeshError as error:
            pause = min(2 * pause, MOST_PAUSE)
            report(f"server {name} cannot be started: {error}")
        else:
            pause = PAUSE
            report(f"server {name} runs again")
