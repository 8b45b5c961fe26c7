"""Intake: the bytes of a request become events, each valid or rejected on its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from mesh.accept import PAGE, SERVER, Sent
from mesh.errors import InvalidField, InvalidKey
from mesh.event import Event
from mesh.runtime.hosting import Hosted
from mesh.subjects import token
from services.gateway.field_rules import check

MOST_EVENTS = 500
MOST_BYTES = 1024 * 1024

SERVERS_ONLY = (
    "only the shop's own servers may send this, with `Authorization: Bearer <server key>`; "
    "server keys are the gateway's setting CARTMESH_SERVER_KEYS"
)

UNSIGNED = (
    "a page names a customer with `customer_signature`: HMAC-SHA256 of the id with a server key, in hexadecimal; "
    "the event was taken without it"
)


class IntakeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How far an event's time may lie from the server's clock."""

    most_ahead: timedelta = timedelta(minutes=5)
    most_behind: timedelta = timedelta(days=30)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What every event from outside begins with. `id` is the sender's, the same on each retry.

    `customer_signature` proves a page's `customer_id`: HMAC-SHA256 of it with a key of the shop's servers, in
    hexadecimal.
    """

    id: str
    type: str
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    customer_signature: str | None = None


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a request; each event stays raw so that a bad one spoils nothing."""

    events: list[msgspec.Raw]


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
    """Whose request it is: the scope of its key (its events' ids are its own), and who uses it (`page`, `server`).

    `types` are the only ones that the key may send, where it is limited.
    """

    scope: str
    by: str
    types: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Valid:
    """A valid event: its place in the request, the sender's id for it, what was sent, and who decides about it."""

    index: int
    id: str
    sent: Sent[Event]
    hosted: Hosted


@dataclass(kw_only=True)
class Judged:
    """The events of a request: the valid ones, those rejected, and how many were sent twice with the same body.

    `ignored` are the fields that valid ones are stored without.
    """

    valid: list[Valid] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)
    repeated: int = 0


_body = msgspec.json.Decoder(Body)
_heads = msgspec.json.Decoder(Head)


def open_request(body: bytes) -> list[msgspec.Raw]:
    """The raw events of a request. Raises msgspec.DecodeError where it is not `{"events": [...]}`."""
    return _body.decode(body).events


class Intake:
    """Judges events by what the hosted services accept."""

    def __init__(
        self, hosted: Mapping[str, Hosted], settings: IntakeSettings, signed: Callable[[str, str | None], bool]
    ) -> None:
        """`signed` says whether one of the shop's servers signed a customer's id."""
        self._hosted, self._settings, self._signed = hosted, settings, signed
        self._decoders = {name: msgspec.json.Decoder(one.owner.acceptance.kind) for name, one in hosted.items()}

    def judge(self, raw_events: list[msgspec.Raw], sender: Sender, received: datetime) -> Judged:
        """Each event of a request valid or rejected."""
        judged, first = Judged(), dict[str, Valid]()
        for index, raw in enumerate(raw_events):
            try:
                valid, ignored = self._judge_one(index, raw, sender, received)
                earlier = first.setdefault(valid.id, valid)
                if earlier is valid:
                    judged.valid.append(valid)
                    judged.ignored += ignored
                elif (earlier.sent.event, earlier.sent.time) == (valid.sent.event, valid.sent.time):
                    judged.repeated += 1
                else:
                    reason = f"event {earlier.index} of this request has the same id and another body"
                    raise InvalidField("$.id", reason)
            except InvalidField as wrong:
                judged.rejected.append(Rejected(index=index, id=_id_of(raw), path=wrong.path, reason=wrong.reason))
        return judged

    def _judge_one(
        self, index: int, raw: msgspec.Raw, sender: Sender, received: datetime
    ) -> tuple[Valid, list[Ignored]]:
        head, event = self._decode(raw)
        try:
            token(head.id, "id")
        except InvalidKey as error:
            raise InvalidField("$.id", str(error)) from None
        self._check_time(head.time, received)
        hosted = self._hosted[head.type]
        _check_sender(sender, head.type, hosted)
        check(event)
        event, ignored = self._trusted(event, head, sender, index)
        id_, time = f"{sender.scope}-{head.id}", head.time.astimezone(UTC)
        sent = Sent(event=event, id=id_, time=time, received=received, by=sender.by)
        return Valid(index=index, id=head.id, sent=sent, hosted=hosted), ignored

    def _trusted(self, event: Event, head: Head, sender: Sender, index: int) -> tuple[Event, list[Ignored]]:
        """The event with who sent it, and without a customer's id that anybody could have written there."""
        known, changes, ignored = type(event).__struct_fields__, dict[str, Any](), list[Ignored]()
        if "by" in known:
            changes["by"] = sender.by
        customer_id = getattr(event, "customer_id", None)
        if customer_id is not None and sender.by == PAGE and not self._signed(customer_id, head.customer_signature):
            changes["customer_id"] = None
            ignored.append(Ignored(index=index, id=head.id, path="$.customer_id", reason=UNSIGNED))
        return (msgspec.structs.replace(event, **changes) if changes else event), ignored

    def _decode(self, raw: msgspec.Raw) -> tuple[Head, Event]:
        try:
            head = _heads.decode(raw)
            decoder = self._decoders.get(head.type)
            if decoder is None:
                known = ", ".join(self._hosted)
                raise InvalidField("$.type", f"unknown type {head.type[:40]!r}; there are {known}")
            return head, decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            reason, _, path = str(error).partition(" - at `")
            raise InvalidField(path.rstrip("`") or "$", reason) from None

    def _check_time(self, time: datetime, received: datetime) -> None:
        earliest, latest = received - self._settings.most_behind, received + self._settings.most_ahead
        if not earliest <= time <= latest:
            side = "ahead of" if time > latest else "behind"
            reason = f"{time.isoformat()} is too far {side} the server's clock ({earliest:%F} to {latest:%FT%TZ})"
            raise InvalidField("$.time", reason)


def _check_sender(sender: Sender, type_: str, hosted: Hosted) -> None:
    by = hosted.owner.acceptance.by
    if sender.by not in by:
        raise InvalidField("$.type", SERVERS_ONLY if by == (SERVER,) else f"only for {', '.join(by)}")
    if sender.types is not None and type_ not in sender.types:
        raise InvalidField("$.type", f"this key may only send {', '.join(sorted(sender.types))}")


def _id_of(raw: msgspec.Raw) -> str | None:
    """The id of an event that may be anything, for the answer only."""
    try:
        found: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    given = found.get("id") if isinstance(found, dict) else None
    return given[:128] if isinstance(given, str) else None
