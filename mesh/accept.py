"""Accepting: what may be sent to a service from outside, by whom, and what becomes of it.

A service declares it with `@service.accepts(...)`; another that must act in the same commit with `@service.joins(...)`.
The handler takes the event as it was sent and yields what shall become true, like any handler. A service that takes
requests from outside (the gateway) finds these declarations and hosts them. `mesh/decisions/0020` says why.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import msgspec

from mesh.event import Event, declaration_of, key_of
from mesh.publish import Draft

E = TypeVar("E", bound=Event)

PAGE = "page"
"""A sender whose key stands in web pages: anybody can use it."""
SERVER = "server"
"""One of the shop's own servers, whose key is secret."""
SIGNED = "signed"
"""A party outside the shop, such as a carrier, that signs each request with its secret: a webhook."""


class Sent(msgspec.Struct, Generic[E], frozen=True, kw_only=True):
    """An event as somebody outside sent it.

    `id` is the sender's id within the scope of its key; `time` is when it happened by the sender's clock, `received`
    when the request came (both aware UTC); `by` is who sent it, such as `PAGE`; `attempt` counts from 1, and is
    higher where something happened meanwhile that a condition of the handler excludes. What is `history` happened
    before the shop used Cartmesh: it is stored and begins nothing, and timers that a handler yields are left out. What
    is `restated` may say once more, in other words, what its sender said before, as each webhook about an order does.
    """

    event: E
    id: str
    time: datetime
    received: datetime
    by: str
    attempt: int = 1
    history: bool = False
    restated: bool = False

    @property
    def draft(self) -> Draft:
        """The event itself, to be stored under its id and time."""
        return Draft(event=self.event, id=self.id, time=self.time)

    @property
    def age(self) -> timedelta:
        """How long it was under way; 0 where the sender's clock is ahead."""
        return max(self.received - self.time, timedelta(0))


class Refused(msgspec.Struct, Generic[E], frozen=True, kw_only=True):
    """An event that somebody sent and that was refused, with what it establishes all the same.

    `fields` are those of `kind` that are right by themselves, by name: an order without lines still has a visitor.
    `path` and `reason` say what was wrong. `id` follows from the event's bytes, so that sending it again changes
    nothing. `time` is the sender's where it is a time, and never later than `received`.
    """

    kind: type[E]
    fields: dict[str, Any]
    path: str
    reason: str
    id: str
    time: datetime
    received: datetime
    by: str
    attempt: int = 1


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """One handler of events from outside.

    `by` names who may send them; `publishes` everything that its functions yield. Events of one request with the same
    value in the first field of `ordered_by` that has one are stored in order, without `ordered_by` side by side.
    `check` returns the event as it shall be stored or raises InvalidField; it is called before anything is decided.
    A field that breaks a rule and may be absent is left out and reported, unless it is one of `required`, the last that
    is left of `either`, or the event counts only `whole`. `refused` takes a `Refused` and yields what is true although
    the event was refused.
    With `history` the event may also be sent as one from before the shop used Cartmesh.
    With `joins` the handler only adds to the commit of the service that accepts the event.
    """

    service: str
    handler: Callable[..., Any]
    kind: type[Event]
    by: tuple[str, ...] = ()
    publishes: tuple[type[Event], ...] = ()
    ordered_by: tuple[str, ...] = ()
    check: Callable[[Any], Any] | None = None
    refused: Callable[..., Any] | None = None
    required: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    whole: bool = False
    history: bool = False
    joins: bool = False

    @property
    def type(self) -> str:
        """The name senders use: `cart_updated` for CartUpdated."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.kind.__name__).lower()

    @property
    def source(self) -> str:
        """Who publishes what the handler yields: `<service>.<handler>`."""
        return f"{self.service}.{self.handler.__name__.replace('_', '-')}"

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (inspect.getdoc(self.handler) or "").partition("\n")[0]

    def order_of(self, event: Event) -> tuple[str, str] | None:
        """Events of a request that have this in common are stored in order; None: with no other."""
        for name in self.ordered_by:
            if (value := getattr(event, name)) is not None:
                return name, value
        return (declaration_of(self.kind).key, key_of(event)) if self.ordered_by else None
