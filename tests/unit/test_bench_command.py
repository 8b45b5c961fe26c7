"""The command `cartmesh bench`: a part that fails keeps no other from being measured and shown."""

import asyncio
import io
from contextlib import asynccontextmanager

from rich.console import Console

from services.demo.bench import audiences, command


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


def test_audiences_are_measured_in_a_process_of_their_own(monkeypatch):
    """The part that needs no region; here with fewer journeys, and for a moment."""
    monkeypatch.setattr(audiences, "JOURNEYS", 20)
    monkeypatch.setattr(audiences, "SECONDS", 1.0)

    figures, printed = measured("audiences")

    assert figures["failed"] == {}
    assert figures["judged"] == {
        "carts a second for 1,000 journeys of 100 conditions": figures["audiences"]["carts_per_second"]
    }
    assert figures["audiences"]["carts_per_second"] > 0
    assert figures["audiences"]["distinct_conditions"] > 1_000
    assert "audiences:" in printed.getvalue()
