"""The command `cartmesh bench`: a part that fails keeps no other from being measured and shown."""

import asyncio
import io
from contextlib import asynccontextmanager

from rich.console import Console

from services.demo.bench import command


def measured(*parts):
    """The figures of these parts, and what was printed."""
    printed = io.StringIO()
    return asyncio.run(command._measure(parts, 10, Console(file=printed))), printed


def test_a_part_that_fails_is_named_and_the_others_are_measured(monkeypatch):
    """The library's part fails; memory is measured after it, in a region of its own."""

    async def fails(*_):
        raise RuntimeError("no servers")

    async def memory(_, figures, __):
        figures["judged"]["memory of a region's services MB"] = 321.0

    @asynccontextmanager
    async def opened(*_, **__):
        yield type("Environment", (), {"gateways": {"us": "http://127.0.0.1:1"}, "key": "k"})()

    monkeypatch.setattr(command, "_library", fails)
    monkeypatch.setattr(command, "_memory", memory)
    monkeypatch.setattr(command, "built", opened)

    figures, printed = measured("library", "memory")

    assert figures["failed"] == {"library": "RuntimeError('no servers')"}
    assert figures["judged"] == {"memory of a region's services MB": 321.0}
    assert "library failed" in printed.getvalue()
