"""Judged: a request's events as the intake found them, who sent them, and what was said of all of them."""

from dataclasses import dataclass, field

import msgspec

from mesh.accept import Sent
from mesh.event import Event
from mesh.runtime.hosting import Hosted
from services.gateway.refusals import Refusal


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was not stored: which, where it is wrong, and why."""

    index: int
    id: str | None
    path: str
    reason: str


class Ignored(msgspec.Struct, frozen=True, kw_only=True):
    """A field of an event that was stored without it: which, and why."""

    index: int
    id: str
    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Whose request it is: the scope of its key (its events' ids are its own), and who uses it.

    `by` is `page`, `server` or `signed`. `types` are the only ones that the key may send, where it is limited. `bot` is
    what shows that a bot sends.
    """

    scope: str
    by: str
    types: frozenset[str] | None = None
    bot: str | None = None


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the events of a request come from, as far as all have it in common.

    Their times are `estimated`, so that a retry may have others; they are `history`; they may be sent `again`, so that
    late ones are looked up; they may be `restated` (`mesh.accept.Sent`).
    """

    estimated: bool = False
    history: bool = False
    again: bool = True
    restated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Valid:
    """A valid event: its place in the request, the sender's id for it, what was sent, and who decides about it.

    Of one whose time is `estimated` another time says nothing: it is the same event. One that is late and may be sent
    `again` is looked up.
    """

    index: int
    id: str
    sent: Sent[Event]
    hosted: Hosted
    estimated: bool = False
    again: bool = True


@dataclass(kw_only=True)
class Judged:
    """The events of a request: the valid ones, those rejected, and how many were sent twice with the same body.

    `ignored` are the fields that valid ones are stored without; `refusals` are those of the rejected that still
    establish something; `bots` counts those rejected because a bot sent them.
    """

    valid: list[Valid] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    repeated: int = 0
    bots: int = 0
