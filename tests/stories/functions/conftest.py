"""A folder of functions, and the service `functions` of a region in memory before it."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.dead_letters import DeadLetter, dead_letter_of
from mesh.events.function import FunctionEmitted
from mesh.events.function_call import FunctionCallEnded
from mesh.events.order import OrderPlaced
from mesh.observability.logs import configure_logs
from mesh.runtime.run import Running, running
from mesh.streams import dead_stream
from services.functions import service
from services.functions.function_file import FileView
from services.functions.functions import Functions

BEGINNING = "import os, sys, time\nfrom mesh import Bury, Retry\nfrom mesh.events.order import OrderPlaced\n"
BEGINNING += "from mesh.function import Context, Emit, function\n"


@dataclass
class Place:
    """A region with the service, its folder, and somebody who publishes events."""

    mesh: Mesh
    run: Running
    folder: Path
    eventually: Callable[..., Any]

    @property
    def functions(self) -> Functions:
        """What runs."""
        return self.run.provided[Functions]

    async def write(self, name: str, text: str) -> FileView:
        """Write a file of functions, with the imports that all have; how it is once the folder was looked at."""
        (self.folder / name).write_text(BEGINNING + dedent(text), encoding="utf-8")
        return await self.looked(name)

    async def looked(self, name: str) -> FileView:
        """How a file is now."""
        await self.functions.look()
        return self.file(name)

    def file(self, name: str) -> FileView:
        """How a file was when the folder was looked at."""
        return next(one for one in self.functions.views if one.file == name)

    async def order(self, order_id: str) -> None:
        """Somebody orders."""
        total = Money(amount=900, currency="EUR")
        await self.mesh.publish(OrderPlaced(order_id=order_id, visitor_id="v1", lines=(), total=total))

    async def emitted(self, count: int) -> list[FunctionEmitted]:
        """What functions published, once there is so much of it."""

        async def found() -> list[FunctionEmitted]:
            now = [one.event async for one in self.mesh.read(FunctionEmitted)]
            return now if len(now) >= count else []

        return await self.eventually(found)

    async def calls(self, name: str, *outcomes: str) -> list[FunctionCallEnded]:
        """The calls of a function, once they begin with these outcomes."""

        async def found() -> list[FunctionCallEnded]:
            now = [one.event async for one in self.mesh.read(FunctionCallEnded) if one.event.function == name]
            return now if [one.outcome for one in now[: len(outcomes)]] == list(outcomes) else []

        return await self.eventually(found)

    async def parked(self, count: int) -> dict[str, DeadLetter]:
        """The dead letters by durable, once there are so many."""

        async def found() -> dict[str, DeadLetter]:
            messages = [one async for one in self.mesh.broker.read(dead_stream("us"), ["dead.us.>"])]
            return (
                {dead_letter_of(one).durable: dead_letter_of(one) for one in messages} if len(messages) >= count else {}
            )

        return await self.eventually(found)


@pytest.fixture
async def open_place(eventually, monkeypatch, tmp_path):
    """Open a region with settings."""
    async with AsyncExitStack() as stack:

        async def open_(regions: MemoryMesh | None = None, *, pages: bool = False, **settings: str) -> Place:
            configure_logs(level="CRITICAL")  # a failure's trace is drawn for a second
            folder = tmp_path / "functions"
            folder.mkdir(exist_ok=True)
            patient = dict.fromkeys(("FUNCTIONS_DEADLINE", "FUNCTIONS_START_DEADLINE", "FUNCTIONS_CPU"), "60s")
            known = {"FUNCTIONS_FOLDER": str(folder), "FUNCTIONS_LOOK": "1h", **patient, **settings}
            for name, value in known.items():
                monkeypatch.setenv(f"CARTMESH_{name}", value)
            regions = regions or MemoryMesh("us")
            brokers = [regions.broker("us") for _ in range(2)]
            for broker in brokers:
                stack.push_async_callback(broker.drain)
            http = ("127.0.0.1", 0) if pages else None
            run = await stack.enter_async_context(running(service, Mesh(brokers[0], "functions"), http=http))
            return Place(Mesh(brokers[1], "orders"), run, folder, eventually)

        yield open_
