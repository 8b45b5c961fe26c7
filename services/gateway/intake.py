"""Intake: the bytes of a request become events, each accepted or rejected on its own."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from mesh.errors import InvalidKey
from mesh.event import Event
from mesh.events.cart import CartUpdated
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.interaction import CheckoutStarted, ProductSearched, ProductViewed
from mesh.events.order import OrderPlaced
from mesh.events.product import ProductListed
from mesh.subjects import token
from services.gateway.rules import Wrong, check

KINDS: dict[str, type[Event]] = {
    re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower(): kind
    for kind in (
        ProductViewed,
        ProductSearched,
        CartUpdated,
        CheckoutStarted,
        OrderPlaced,
        CustomerIdentified,
        ConsentChanged,
        ProductListed,
    )
}
"""What a shop may say: the wire name `cart_updated` of each event, and its class."""
SERVER_KINDS = (ProductListed,)
"""What only the shop's own servers may say: a page could claim anything of stock and prices."""

MOST_EVENTS = 500
MOST_BYTES = 1024 * 1024


SERVERS_ONLY = (
    "only the shop's own servers may say this, with `Authorization: Bearer <server key>`; "
    "server keys are the gateway's setting CARTMESH_SERVER_KEYS"
)


class IntakeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How far an event's time may lie from the server's clock."""

    most_ahead: timedelta = timedelta(minutes=5)
    most_behind: timedelta = timedelta(days=30)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What every storefront event begins with. `id` is the storefront's, the same on each retry."""

    id: str
    type: str
    time: Annotated[datetime, msgspec.Meta(tz=True)]


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a request; each event stays raw so that a bad one spoils nothing."""

    events: list[msgspec.Raw]


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was not stored: which, where it is wrong, and why."""

    index: int
    id: str | None
    path: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A valid event on its way into the mesh; `id` is the storefront's, `time` aware UTC."""

    index: int
    id: str
    time: datetime
    event: Event


_posted = msgspec.json.Decoder(Posted)
_heads = msgspec.json.Decoder(Head)
_decoders = {name: msgspec.json.Decoder(kind) for name, kind in KINDS.items()}


def open_request(body: bytes) -> list[msgspec.Raw]:
    """The raw events of a request. Raises msgspec.DecodeError where it is not `{"events": [...]}`."""
    return _posted.decode(body).events


def judge(
    raw_events: list[msgspec.Raw], received: datetime, settings: IntakeSettings, *, server: bool = False
) -> tuple[list[Arrival], list[Rejected], int]:
    """Valid events, rejected ones, and how many were said twice in the same words.

    `server` says that they come from the shop's own servers.
    """
    arrivals: dict[str, Arrival] = {}
    rejected: list[Rejected] = []
    repeated = 0
    earliest, latest = received - settings.most_behind, received + settings.most_ahead
    for index, raw in enumerate(raw_events):
        try:
            arrival = _judge_one(index, raw, earliest, latest)
            if isinstance(arrival.event, SERVER_KINDS) and not server:
                raise Wrong("$.type", SERVERS_ONLY)
            repeated += _is_repeated(arrival, arrivals.setdefault(arrival.id, arrival))
        except Wrong as wrong:
            rejected.append(Rejected(index=index, id=_id_of(raw), path=wrong.path, reason=wrong.reason))
    return list(arrivals.values()), rejected, repeated


def _is_repeated(arrival: Arrival, first: Arrival) -> bool:
    if (first.event, first.time) != (arrival.event, arrival.time):
        raise Wrong("$.id", f"event {first.index} of this request has the same id and another body")
    return first is not arrival


def _judge_one(index: int, raw: msgspec.Raw, earliest: datetime, latest: datetime) -> Arrival:
    try:
        head = _heads.decode(raw)
        decoder = _decoders.get(head.type)
        if decoder is None:
            raise Wrong("$.type", f"unknown type {head.type[:40]!r}; there are {', '.join(KINDS)}")
        happened = decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason, _, path = str(error).partition(" - at `")
        raise Wrong(path.rstrip("`") or "$", reason) from None
    try:
        token(head.id, "id")
    except InvalidKey as error:
        raise Wrong("$.id", str(error)) from None
    if not earliest <= head.time <= latest:
        side = "ahead of" if head.time > latest else "behind"
        raise Wrong(
            "$.time", f"{head.time.isoformat()} is too far {side} the server's clock ({earliest:%F} to {latest:%FT%TZ})"
        )
    check(happened)
    return Arrival(index=index, id=head.id, time=head.time.astimezone(UTC), event=happened)


def _id_of(raw: msgspec.Raw) -> str | None:
    """The id of an event that may be anything, for the answer only."""
    try:
        found: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    given = found.get("id") if isinstance(found, dict) else None
    return given[:128] if isinstance(given, str) else None
