"""Handling: a handler is called with what happened, and what it yields is committed."""

import asyncio
import inspect
import random
from datetime import timedelta
from typing import Any

from mesh.binding import Binding
from mesh.envelope import Received, derive_id
from mesh.errors import Conflict, Retry
from mesh.mesh import Mesh
from mesh.observability import tracing
from mesh.observability.handling import Handling
from mesh.parameters import fill
from mesh.publish import Cause, Change

CONFLICTS = 25
"""How often a handler decides again because something happened meanwhile, before the message is retried later."""


class Handler:
    """One binding's function with everything it asks for."""

    def __init__(self, binding: Binding, mesh: Mesh, provided: dict[type, Any], telemetry: Handling) -> None:
        """`provided` maps types to the values that the function may ask for."""
        self._binding, self._mesh, self._telemetry = binding, mesh, telemetry
        self._extra = fill(binding.handler, provided)
        self._generates = inspect.isasyncgenfunction(binding.handler)
        self._source = f"{binding.service}.{binding.name}"

    async def handle(self, given: list[Received]) -> None:
        """Call the function and commit what it yields; on a conflict call it again.

        `given` is one event, or several for a binding that takes batches. Raises what the function raises, Retry
        after too many conflicts, and what `Mesh.commit` raises.
        """
        for turn in range(CONFLICTS):
            changes = await self._call(given)
            if not changes:
                return
            try:
                await self._mesh.commit(changes, self._cause(given))
            except Conflict:
                self._telemetry.answered("conflict")
                await asyncio.sleep(random.uniform(0, 0.002 * (turn + 1)))  # noqa: S311  jitter, not a secret
            else:
                return
        raise Retry(f"{CONFLICTS} conflicts in a row", after=timedelta(milliseconds=200))

    async def _call(self, given: list[Received]) -> list[Change]:
        opened = await self._mesh.personal_data.decrypt(given)
        values: list[Any] = list(opened) if self._binding.wants_received else [one.event for one in opened]
        made = self._binding.handler(values if self._binding.batch else values[0], **self._extra)
        if self._generates:
            return [change async for change in made]
        return list(await made or ())

    def _cause(self, given: list[Received]) -> Cause:
        """One event is a cause by itself; what follows from a batch derives its ids from all of it."""
        trace = tracing.current_context()
        if len(given) == 1:
            return Cause(id=given[0].id, source=self._source, traceparent=trace, event=given[0].id)
        return Cause(id=derive_id(*(one.id for one in given)), source=self._source, traceparent=trace)
