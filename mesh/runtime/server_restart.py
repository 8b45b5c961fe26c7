"""Server restart: an embedded server that dies is started again, as an orchestrator would, and both are reported."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from mesh.errors import MeshError
from mesh.runtime.backoff import Backoff
from mesh.runtime.process import Process

_LOOKED_EVERY_S = 0.5


async def restart_dead_server(
    name: str,
    running: Mapping[str, Process],
    launch: Callable[[str], Awaitable[None]],
    report: Callable[[str], None],
    ended: Callable[[], None] = lambda: None,
) -> None:
    """Watch a server until cancelled; `ended` is called when it has, before the pause.

    One that is no longer in `running` was stopped on purpose and is left alone.
    """
    backoff = Backoff()
    while True:
        process = running.get(name)
        if process is None:
            await asyncio.sleep(_LOOKED_EVERY_S)
            continue
        code = await process.wait()
        if running.get(name) is not process:
            continue
        ended()
        report(f"server {name} ended unexpectedly (exit code {code}); starting it again")
        await asyncio.sleep(backoff.pause())
        backoff.began()
        try:
            await launch(name)
        except MeshError as error:
            report(f"server {name} cannot be started: {error}")
        else:
            report(f"server {name} runs again")
