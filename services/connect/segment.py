"""Segment: calls of the Segment spec become events, so that the analytics libraries of every language can be used.

https://segment.com/docs/connections/spec/ecommerce/v2/,
https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/
"""

import base64
import binascii
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from mesh.accept import PAGE
from mesh.errors import InvalidField
from mesh.lenient_json import decoded
from mesh.translate import Adapter, Foreign, Key, Meaning, NotUnderstood, Translated, Unreadable
from mesh.web.server_keys import bearer
from services.connect.names import event_id, plain_id, visitor_of
from services.connect.segment_call import Call
from services.connect.segment_commerce import COMMERCE
from services.connect.segment_people import identified

KINDS = {"t": "track", "i": "identify", "p": "page"}
NOTHING = "no event here follows from it; services/README.md has the list of those that are understood"
ANONYMOUS = (
    "a page's key says by anonymousId who it is about; with userId alone send the key of one of the shop's servers"
)
SKEW = timedelta(seconds=5)
"""A sender's clock that differs by less is taken as it is: the way to here takes as long."""


def adapter() -> Adapter:
    """What reads them."""
    return Adapter(translate=translate, key=key_of)


def key_of(request: Foreign) -> Key:
    """The key as the user of Basic auth; a Bearer token; or `writeKey` in the body, as some libraries do."""
    header = request.headers.get("authorization", "")
    scheme, _, given = header.partition(" ")
    if scheme.lower() == "basic":
        with suppress(binascii.Error, UnicodeDecodeError):
            return Key(base64.b64decode(given.strip(), validate=True).decode().partition(":")[0])
        return Key(None)
    if header:
        return Key(bearer(header))
    with suppress(ValueError, RecursionError):
        found = decoded(request.body)
        given = found.get("writeKey") if isinstance(found, dict) else None
        return Key(given if isinstance(given, str) else None)
    return Key(None)


def translate(request: Foreign) -> Translated:
    """Each call as the events that it means. Raises Unreadable."""
    try:
        body = decoded(request.body)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the body must be a call of the Segment spec in JSON: {error}") from None
    if not isinstance(body, dict):
        raise Unreadable("the body must be a JSON object")
    kind = request.path.rpartition("/")[2]
    calls = [body]
    if kind in ("batch", "import"):
        if not isinstance(batch := body.get("batch"), list):
            raise Unreadable('a batch is {"batch": [...]}, with a list of calls')
        calls = [_with_shared(one, body) for one in batch]
    made = Translated(items=calls, estimated=True)
    for index, call in enumerate(calls):
        if isinstance(call, dict):
            named = call.get("type") if kind in ("batch", "import") else KINDS.get(kind, kind)
            called = Call(call, request.by)
            _translate_one(index, called, str(named), request.received, body.get("sentAt"), made)
        else:
            made.events.append(Meaning(item=index, fields={}, wrong=InvalidField("$", "a call is a JSON object")))
    return made


def _with_shared(call: Any, body: dict[str, Any]) -> Any:
    """A call of a batch with the context and integrations that the batch gives for all."""
    if isinstance(call, dict) and isinstance(body.get("context"), dict) and "context" not in call:
        return {**call, "context": body["context"]}
    return call


def _translate_one(index: int, call: Call, kind: str, received: datetime, sent_at: Any, made: Translated) -> None:
    name = str(call.fields.get("event", "")) if kind == "track" else kind
    mapping = identified if kind == "identify" else None
    if kind == "track":
        mapping = COMMERCE.get(" ".join(name.split()).casefold())
    if mapping is None:
        made.not_understood.append(NotUnderstood(index=index, name=name, reason=NOTHING))
        return
    try:
        _add_head(call, received, call.fields.get("sentAt", sent_at))
        found = mapping(call)
    except InvalidField as wrong:
        made.events.append(Meaning(item=index, fields=call.shared, wrong=wrong))
        return
    for at, fields in enumerate(found):
        if reason := fields.pop("not_understood", None):
            made.not_understood.append(NotUnderstood(index=index, name=name, reason=reason))
            continue
        own = {"id": call.shared["id"] if at == 0 else event_id(call.shared["id"], at)}
        made.events.append(Meaning(item=index, fields={**call.shared, **fields, **own}))


def _add_head(call: Call, received: datetime, sent_at: Any) -> None:
    """Who and when. Raises InvalidField."""
    call.shared["time"] = _time(call.fields, received, sent_at).isoformat()
    message_id = call.fields.get("messageId")
    if not isinstance(message_id, str) or not message_id.strip():
        raise InvalidField("$.messageId", "a call needs an id of its own, so that sending it again changes nothing")
    call.shared["id"] = event_id(message_id.strip())
    user, anonymous = (plain_id(call.fields.get(name)) for name in ("userId", "anonymousId"))
    if user:
        call.shared["customer_id"] = user
    if signature := call.context.get("customer_signature"):
        call.shared["customer_signature"] = signature
    if not anonymous and not user:
        raise InvalidField("$.anonymousId", "a call names its visitor by anonymousId, userId or both")
    if not anonymous and call.by == PAGE:
        raise InvalidField("$.anonymousId", ANONYMOUS)
    call.shared["visitor_id"] = anonymous or visitor_of("segment", user)


def _time(call: dict[str, Any], received: datetime, sent_at: Any) -> datetime:
    """When it happened by the server's clock: the sender's is taken to be wrong by as much as when it sent.

    https://segment.com/docs/connections/spec/common/#timestamps. Raises InvalidField for a text that is no time.
    """
    given = call.get("originalTimestamp") or call.get("timestamp")
    if given is None:
        return received
    happened = _moment(given, "$.timestamp")
    if sent_at in (None, ""):
        return happened
    skew = received - _moment(sent_at, "$.sentAt")
    return happened if abs(skew) < SKEW else min(happened + skew, received)


def _moment(given: Any, at: str) -> datetime:
    if not isinstance(given, str):
        raise InvalidField(at, "a time is a text such as 2026-05-01T12:00:00Z (ISO 8601)")
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise InvalidField(at, f"{given[:40]!r} is no time such as 2026-05-01T12:00:00Z (ISO 8601)") from None
    if found.tzinfo is None:
        raise InvalidField(at, f"{given[:40]!r} has no time zone: write Z or an offset such as +02:00")
    return found.astimezone(UTC)
