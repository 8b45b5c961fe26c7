"""Intake: the bytes of a request become events, each valid or rejected on its own."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from typing import Annotated, Any

import msgspec

from mesh.accept import PAGE, SERVER, Acceptance, Sent
from mesh.errors import InvalidField, InvalidKey, SentByBot
from mesh.event import Event
from mesh.runtime.hosting import Hosted
from mesh.subjects import token
from services.gateway.field_rules import LeftOut, cleaned, optional_fields
from services.gateway.judged import Ignored, Judged, Provenance, Rejected, Sender, Valid
from services.gateway.refusals import Refusal, refusal
from services.gateway.request_body import convert, fields_of, unknown_fields, valid_fields

MOST_EVENTS = 500
MOST_BYTES = 1024 * 1024
MOST_EVENT_BYTES = 128 * 1024
"""A cart of 200 lines with names and addresses of usual length is half of it; every decision about a cart reads it."""

SERVERS_ONLY = (
    "only the shop's own servers may send this, with `Authorization: Bearer <server key>`; "
    "server keys are the gateway's setting CARTMESH_SERVER_KEYS"
)

UNSIGNED = (
    "a page names a customer with `customer_signature`: HMAC-SHA256 of the id with a server key, in hexadecimal; "
    "the event was taken without it"
)


OLDEST = timedelta(days=365 * 30)
"""The oldest history."""
NOTHING_WRONG: Mapping[int, InvalidField] = {}


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


EVERYWHERE = ("visitor_id", "session_id", "customer_id", *Head.__struct_fields__)
"""Fields that any event may have: a page sends them with each, whether the event keeps them or not."""


class Intake:
    """Judges events by what the hosted services accept."""

    def __init__(
        self, hosted: Mapping[str, Hosted], settings: IntakeSettings, signed: Callable[[str, str | None], bool]
    ) -> None:
        """`signed` says whether one of the shop's servers signed a customer's id."""
        self._hosted, self._settings, self._signed = hosted, settings, signed

    def judge(
        self,
        raw_events: list[msgspec.Raw],
        sender: Sender,
        received: datetime,
        *,
        wrong: Mapping[int, InvalidField] = NOTHING_WRONG,
        provenance: "Provenance | None" = None,
        opened: Sequence[dict[str, Any]] = (),
    ) -> Judged:
        """Each event of a request valid or rejected; `wrong` are those that are known to be, by their index.

        `opened` are the fields of the raw events, where they are known already.
        """
        judged, first = Judged(), dict[str, Valid]()
        for index, raw in enumerate(raw_events):
            fields: dict[str, Any] = {}
            try:
                fields = opened[index] if opened else fields_of(raw)
                if sender.bot is not None:
                    raise SentByBot("$", f"sent by a bot ({sender.bot}), whose events are not taken")
                if (size := memoryview(raw).nbytes) > MOST_EVENT_BYTES:
                    raise InvalidField("$", f"at most {MOST_EVENT_BYTES} bytes, not {size}")
                if index in wrong:
                    raise wrong[index]
                ignored: LeftOut = []
                valid = self._judge_one(index, fields, sender, received, ignored, provenance or Provenance())
                earlier = first.setdefault(valid.id, valid)
                if earlier is valid:
                    judged.valid.append(valid)
                    judged.ignored += [
                        Ignored(index=index, id=valid.id, path=one.path, reason=one.reason) for one in ignored
                    ]
                elif (earlier.sent.event, earlier.sent.time) == (valid.sent.event, valid.sent.time):
                    judged.repeated += 1
                else:
                    reason = f"event {earlier.index} of this request has the same id and another body"
                    raise InvalidField("$.id", reason)
            except InvalidField as why:
                judged.rejected.append(Rejected(index=index, id=_id_of(fields), path=why.path, reason=why.reason))
                judged.bots += isinstance(why, SentByBot)
                if provenance and provenance.history:
                    continue  # what was refused of the past says nothing of today
                if refusal := self._refusal(raw, fields, sender, received, why):
                    judged.refusals.append(refusal)
        return judged

    def _judge_one(
        self,
        index: int,
        fields: dict[str, Any],
        sender: Sender,
        received: datetime,
        ignored: LeftOut,
        provenance: "Provenance",
    ) -> Valid:
        head = convert(Head, {name: fields[name] for name in Head.__struct_fields__ if name in fields}, ignored)
        hosted = self._hosted_for(head.type, sender)
        try:
            token(head.id, "id")
        except InvalidKey as error:
            raise InvalidField("$.id", str(error)) from None
        acceptance = hosted.owner.acceptance
        if provenance.history:
            _check_past(acceptance, head.time, received)
        else:
            self._check_time(head.time, received)
        event = _checked(acceptance, fields, ignored)
        ignored += unknown_fields(fields, acceptance.kind, EVERYWHERE)
        event = self._trusted(event, head.customer_signature, sender, ignored)
        id_, time = f"{sender.scope}-{head.id}", head.time.astimezone(UTC)
        sent = Sent(
            event=event,
            id=id_,
            time=time,
            received=received,
            by=sender.by,
            history=provenance.history,
            restated=provenance.restated,
        )
        return Valid(
            index=index, id=head.id, sent=sent, hosted=hosted, estimated=provenance.estimated, again=provenance.again
        )

    def _hosted_for(self, type_: str, sender: Sender) -> Hosted:
        """What accepts events of a type. Raises InvalidField where nothing does, or not from this sender."""
        hosted = self._hosted.get(type_)
        if hosted is None:
            raise InvalidField("$.type", f"unknown type {type_[:40]!a}; there are {', '.join(self._hosted)}")
        by = hosted.owner.acceptance.by
        if sender.by not in by:
            raise InvalidField("$.type", SERVERS_ONLY if PAGE not in by else f"only for {', '.join(by)}")
        if sender.types is not None and type_ not in sender.types:
            raise InvalidField("$.type", f"this key may only send {', '.join(sorted(sender.types))}")
        return hosted

    def _refusal(
        self, raw: msgspec.Raw, fields: dict[str, Any], sender: Sender, received: datetime, wrong: InvalidField
    ) -> Refusal | None:
        """What is left of a rejected event, where its service wants to know and the sender may send it."""
        if sender.bot is not None:
            return None
        try:
            hosted = self._hosted_for(str(fields.get("type")), sender)
        except InvalidField:
            return None
        if hosted.owner.acceptance.refused is None:
            return None
        found = valid_fields(hosted.owner.acceptance.kind, fields)
        if not self._is_known_customer(found.get("customer_id"), fields.get("customer_signature"), sender):
            del found["customer_id"]
        id_ = f"{sender.scope}-{blake2b(raw, digest_size=16).hexdigest()}"
        return refusal(hosted, found, wrong, id=id_, time=_time_of(fields, received), received=received, by=sender.by)

    def _trusted(self, event: Event, signature: str | None, sender: Sender, ignored: LeftOut) -> Event:
        """The event with who sent it, and without a customer's id that anybody could have written there."""
        known, changes = type(event).__struct_fields__, dict[str, Any]()
        if "by" in known:
            changes["by"] = sender.by
        if not self._is_known_customer(getattr(event, "customer_id", None), signature, sender):
            changes["customer_id"] = None
            ignored.append(InvalidField("$.customer_id", UNSIGNED))
        return msgspec.structs.replace(event, **changes) if changes else event

    def _is_known_customer(self, customer_id: str | None, signature: Any, sender: Sender) -> bool:
        if customer_id is None or sender.by == SERVER:
            return True
        return self._signed(customer_id, signature if isinstance(signature, str) and signature.isascii() else None)

    def _check_time(self, time: datetime, received: datetime) -> None:
        earliest, latest = received - self._settings.most_behind, received + self._settings.most_ahead
        if not earliest <= time <= latest:
            side = "ahead of" if time > latest else "behind"
            reason = f"{time.isoformat()} is too far {side} the server's clock ({earliest:%F} to {latest:%FT%TZ})"
            raise InvalidField("$.time", reason)


def _check_past(acceptance: Acceptance, time: datetime, received: datetime) -> None:
    if not acceptance.history:
        raise InvalidField("$.type", f"{acceptance.type} is about now, not about the past: send it to /v1/events")
    if not received - OLDEST <= time <= received:
        raise InvalidField("$.time", f"{time.isoformat()} is not in the past thirty years")


def _checked(acceptance: Acceptance, fields: dict[str, Any], ignored: LeftOut) -> Event:
    """The event as its service stores it: without fields that break a rule, where it may do without them."""
    whole = acceptance.whole
    required = (*acceptance.required, *_last_left(acceptance, fields.get))
    event = convert(acceptance.kind, fields, ignored, required=required, whole=whole)
    event = cleaned(event, ignored, required=required, whole=whole)
    for name in required:
        if getattr(event, name) is None:
            raise InvalidField(f"$.{name}", f"missing required field `{name}`")
    if acceptance.either and all(getattr(event, name) is None for name in acceptance.either):
        names = " or ".join(f"`{name}`" for name in acceptance.either)
        missing = InvalidField(f"$.{acceptance.either[0]}", f"missing required field {names}")
        raise next((one for one in ignored if one.path.removeprefix("$.") in acceptance.either), missing)
    return event if acceptance.check is None else _checked_by_service(acceptance, event, ignored)


def _checked_by_service(acceptance: Acceptance, event: Event, ignored: LeftOut) -> Event:
    """The same by the rules of its service, which are asked again without each optional field that they refuse."""
    while True:
        try:
            return acceptance.check(event) if acceptance.check else event
        except InvalidField as wrong:
            name = wrong.path.removeprefix("$.")
            required = (*acceptance.required, *_last_left(acceptance, partial(getattr, event)))
            may_be_absent = name in optional_fields(type(event)) and name not in required
            if isinstance(wrong, SentByBot) or acceptance.whole or not may_be_absent or getattr(event, name) is None:
                raise
            ignored.append(wrong)
            event = msgspec.structs.replace(event, **{name: None})


def _last_left(acceptance: Acceptance, value_of: Callable[[str], Any]) -> tuple[str, ...]:
    """The field of `either` that no other can stand in for; none where there are several."""
    given = tuple(name for name in acceptance.either if value_of(name) not in (None, ""))
    return given if len(given) == 1 else ()


def _time_of(fields: dict[str, Any], received: datetime) -> datetime:
    """When a refused event happened, as far as it says so; never later than it was received."""
    try:
        given = msgspec.convert(fields.get("time"), Annotated[datetime, msgspec.Meta(tz=True)])
        return min(given.astimezone(UTC), received)
    except (msgspec.ValidationError, OverflowError):
        return received


def _id_of(fields: dict[str, Any]) -> str | None:
    """The id of an event that may be anything, for the answer only."""
    given = fields.get("id")
    return given[:128].encode("utf-8", "backslashreplace").decode() if isinstance(given, str) else None
