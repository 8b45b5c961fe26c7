"""The command `cartmesh webhook-receiver`, which `cartmesh up` runs beside the mesh."""

import asyncio
import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import cyclopts

COMPANION = ("webhook-receiver", "--port", "0")
"""The command's arguments; `--dir` is added."""
PORT = 8095


def commands(app: "cyclopts.App") -> None:
    """Add `webhook-receiver`."""
    app.command(webhook_receiver, name="webhook-receiver")


def webhook_receiver(
    *,
    port: int = PORT,
    dir: Path = Path("webhook-receiver"),
    host: str = "127.0.0.1",
    usual_ports: bool = False,
) -> None:
    """Run a partner's endpoint that takes every webhook and shows it.

    Parameters
    ----------
    port
        Where it listens; 0 is any free port, and the same one when it is started again with its folder.
    dir
        Its folder, in which it remembers its port.
    host
        The address it listens on.
    usual_ports
        Listen where people look for it, if that port is free.

    """
    from mesh.runtime.ports import free_ports, usual_port  # noqa: PLC0415  other commands need no server

    dir.mkdir(parents=True, exist_ok=True)
    kept = dir / "port"
    before = int(kept.read_text()) if kept.exists() else 0
    with usual_port(PORT) if usual_ports else nullcontext(port or before or free_ports(1)[0]) as chosen:
        kept.write_text(str(chosen))
        asyncio.run(_run(chosen, host, is_first=usual_ports))


async def _run(port: int, host: str, *, is_first: bool) -> None:
    """Serve until asked to stop. For people the mesh has a webhook to it from its start."""
    from mesh.runtime.run import until_asked_to_stop  # noqa: PLC0415  see above
    from mesh.runtime.serving import serving  # noqa: PLC0415  the same
    from services.demo.webhook_receiver.app import app  # noqa: PLC0415  the same

    with until_asked_to_stop() as stop:
        async with serving(app(), host, port) as listening:
            url = f"http://{host}:{listening}"
            environment = {"CARTMESH_WEBHOOK_PRIVATE_ADDRESSES": "true"}
            if is_first:
                environment["CARTMESH_WEBHOOK_FIRST"] = f"{url}/partner"
            print(json.dumps({"addresses": {"webhook receiver": url}, "environment": environment}), flush=True)
            await stop.wait()
