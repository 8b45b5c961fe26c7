"""Translating: a request in somebody else's form becomes events that services accept from outside.

A service declares it with `@service.translates("segment", "/v1/track", ...)` above a function that builds the
`Adapter`. A service that takes requests from outside (the gateway) finds these declarations and serves their addresses:
who sends, how much, what is stored and what is refused is decided there, as for its own `POST /v1/events`. An adapter
says only what a request means. `mesh/decisions/0039` says why.

What comes from a broker is fetched: `@service.fetches` stands above a function that builds the `Feed`s. They run where
requests are taken, and their messages are stored as requests are. `mesh/decisions/0055` says why.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from mesh.errors import InvalidField


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A request as it came: names of `headers` in lower case, `body` decompressed, `received` aware UTC.

    `by` is who sent it, once that is known: `PAGE`, `SERVER` or `SIGNED`.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes
    received: datetime
    by: str = ""


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """One event for the write side: `fields` as `POST /v1/events` takes them, and the item of the request it is from.

    `wrong` is what the adapter could not translate; the event is then refused for it, and its service is told of the
    fields that are right, as of any refused event.
    """

    item: int
    fields: dict[str, Any]
    wrong: InvalidField | None = None


class NotUnderstood(msgspec.Struct, frozen=True, kw_only=True):
    """An item from which nothing follows here: its place in the request, what it calls itself, and why."""

    index: int
    name: str
    reason: str


@dataclass(kw_only=True)
class Translated:
    """What a request means. `items` are its parts as they were sent; an item may become no event, one or several.

    `estimated`: times were corrected by the sender's clock, so a retry may have others and is the same event.
    `restated`: see `mesh.accept.Sent`.
    """

    items: list[Any]
    events: list[Meaning] = field(default_factory=list)
    not_understood: list[NotUnderstood] = field(default_factory=list)
    estimated: bool = False
    restated: bool = False


class Unreadable(Exception):
    """A request that is not of the form its address takes; says what to send."""


@dataclass(frozen=True)
class Key:
    """The key that a request carries. One that is not `secret`, as in an address, is never taken for a server's."""

    value: str | None
    secret: bool = True


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """How requests of one source are read.

    `translate` raises Unreadable. A request is sent with a key, found by `key` (None: `Authorization: Bearer`, RFC
    6750); with `signed` it is signed instead: the function returns the name of who signed it, or raises `BadSignature`.
    Who signs is one of the shop's own systems, and may send the events of `types` alone. `greets` knows the request by
    which a system asks whether somebody is there: it is answered, and nothing else. `accepted` and `refused` are the
    statuses of answers: where everything is refused, a sender that would try for days what can never be taken is
    answered as if it was.
    """

    translate: Callable[[Foreign], Translated]
    key: Callable[[Foreign], Key] | None = None
    signed: Callable[[Foreign], str] | None = None
    greets: Callable[[Foreign], bool] | None = None
    types: frozenset[str] | None = None
    accepted: int = 200
    refused: int = 400


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A declared adapter: its source, such as `segment`, the addresses it answers, and what builds it at start."""

    service: str
    source: str
    paths: tuple[str, ...]
    build: Callable[[], Adapter]
    summary: str


Take = Callable[[Foreign], Awaitable[bool]]
"""Store what a message means: returns once that is done for good, with whether anything of it was taken."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """Messages that are fetched from a broker, such as of `source` `rabbitmq`.

    `name` is the operator's for it, and the scope of its messages' ids; `place` says where they come from. `run`
    fetches until it is cancelled, and raises where the broker cannot be reached: it is then called again, later and
    later. It acknowledges a message once `Take` has returned. The operator has declared it, so it is trusted as a
    server of the shop is.
    """

    source: str
    name: str
    place: str
    adapter: Adapter
    run: Callable[[Take], Coroutine[Any, Any, None]]
