"""Hosting: what services accept from outside, ready to be decided in the process that takes the requests."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from mesh.accept import Acceptance, Refused, Sent
from mesh.errors import DeclarationError
from mesh.mesh import Mesh
from mesh.parameters import fill, parameters
from mesh.publish import Change
from mesh.service import Service


@dataclass(frozen=True, kw_only=True)
class Handler:
    """A declared handler with the arguments that its functions ask for besides the event."""

    acceptance: Acceptance
    extra: dict[str, Any]
    extra_refused: dict[str, Any] = field(default_factory=dict)

    async def decide(self, sent: Sent) -> list[Change]:
        """What it yields."""
        return [change async for change in self.acceptance.handler(sent, **self.extra)]

    async def decide_refused(self, refused: Refused) -> list[Change]:
        """What it yields of an event that was refused."""
        if self.acceptance.refused is None:
            return []
        return [change async for change in self.acceptance.refused(refused, **self.extra_refused)]


@dataclass(kw_only=True)
class Hosted:
    """An accepted event: the handler that accepts it and those that join in its commit."""

    owner: Handler
    joined: list[Handler] = field(default_factory=list)

    @property
    def handlers(self) -> list[Handler]:
        """All of them, the owner first."""
        return [self.owner, *self.joined]


@asynccontextmanager
async def hosting(services: Sequence[Service], mesh: Mesh) -> AsyncIterator[dict[str, Hosted]]:
    """Every accepted event by the name senders use, until the block ends. Opens the resources that handlers ask for.

    DeclarationError when two services accept an event, or one joins in an event that nobody accepts.
    """
    async with AsyncExitStack() as stack:
        hosted: dict[str, Hosted] = {}
        joining: list[Handler] = []
        for service in services:
            provided = await _open(service, mesh, stack)
            for acceptance in service.acceptances:
                handler = Handler(
                    acceptance=acceptance,
                    extra=fill(acceptance.handler, provided),
                    extra_refused=fill(acceptance.refused, provided) if acceptance.refused else {},
                )
                if acceptance.joins:
                    joining.append(handler)
                elif hosted.setdefault(acceptance.type, Hosted(owner=handler)).owner is not handler:
                    owner = hosted[acceptance.type].owner.acceptance
                    raise DeclarationError(f"{owner.service} and {service.name} both accept {acceptance.type}")
        for handler in joining:
            if handler.acceptance.type not in hosted:
                raise DeclarationError(f"{handler.acceptance.source}: no service accepts {handler.acceptance.type}")
            hosted[handler.acceptance.type].joined.append(handler)
        yield dict(sorted(hosted.items()))


async def _open(service: Service, mesh: Mesh, stack: AsyncExitStack) -> dict[type, Any]:
    """The mesh, and those of the service's resources that its handlers of events from outside ask for."""
    provided: dict[type, Any] = {Mesh: mesh}
    functions = [made for one in service.acceptances for made in (one.handler, one.refused) if made]
    asked = {kind for function in functions for kind in parameters(function).values()}
    for kind, opened in service.resources.items():
        if kind in asked:
            extra = fill(opened, provided, skip=0)
            provided[kind] = await stack.enter_async_context(asynccontextmanager(opened)(**extra))
    return provided
