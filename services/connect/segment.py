"""Segment: calls of the Segment spec become events, so that the analytics libraries of every language can be used.

https://segment.com/docs/connections/spec/ecommerce/v2/,
https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/
"""

import base64
import binascii
import re
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from mesh.accept import PAGE
from mesh.errors import InvalidField
from mesh.lenient_json import decoded
from mesh.translate import Adapter, Foreign, Key, Meaning, NotUnderstood, Translated, Unreadable
from mesh.web.server_keys import bearer
from services.connect.names import event_id, plain_id, visitor_of
from services.connect.segment_call import Call
from services.connect.segment_commerce import mapping_of
from services.connect.segment_people import identified
from services.connect.times import moment

KINDS = {"t": "track", "i": "identify", "p": "page"}
NOTHING = "no event here follows from it; services/README.md has the list of those that are understood"
ANONYMOUS = (
    "a page's key says by anonymousId who it is about; with userId alone send the key of one of the shop's servers"
)
Skew = timedelta | InvalidField
NO_SKEW = timedelta(0)
_usual = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII).fullmatch
LEAST_SKEW = timedelta(seconds=5)
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
        calls = _with_shared(batch, body)
    made = Translated(items=calls, estimated=True)
    skew = _skew(body.get("sentAt"), request.received)
    for index, call in enumerate(calls):
        if isinstance(call, dict):
            named = call.get("type") if kind in ("batch", "import") else KINDS.get(kind, kind)
            called = Call(call, request.by)
            own = _skew(call["sentAt"], request.received) if "sentAt" in call else skew
            _translate_one(index, called, str(named), request.received, own, made)
        else:
            made.events.append(Meaning(item=index, fields={}, wrong=InvalidField("$", "a call is a JSON object")))
    return made


def _with_shared(calls: list[Any], body: dict[str, Any]) -> list[Any]:
    """The calls of a batch with the context that the batch gives for all that have none."""
    context = body.get("context")
    if not isinstance(context, dict):
        return calls
    return [{**one, "context": context} if isinstance(one, dict) and "context" not in one else one for one in calls]


def _translate_one(index: int, call: Call, kind: str, received: datetime, skew: Skew, made: Translated) -> None:
    name = str(call.fields.get("event", "")) if kind == "track" else kind
    mapping = identified if kind == "identify" else None
    if kind == "track":
        mapping = mapping_of(name)
    if mapping is None:
        made.not_understood.append(NotUnderstood(index=index, name=name, reason=NOTHING))
        return
    try:
        _add_head(call, received, skew)
        found = mapping(call)
    except InvalidField as wrong:
        made.events.append(Meaning(item=index, fields=call.shared, wrong=wrong))
        return
    for at, fields in enumerate(found):
        if reason := fields.pop("not_understood", None):
            made.not_understood.append(NotUnderstood(index=index, name=name, reason=reason))
            continue
        whole = call.shared | fields
        if at:
            whole["id"] = event_id(call.shared["id"], at)
        made.events.append(Meaning(item=index, fields=whole))


def _add_head(call: Call, received: datetime, skew: Skew) -> None:
    """Who and when. Raises InvalidField."""
    shared, fields = call.shared, call.fields
    shared["time"] = _time(fields, received, skew)
    message_id = fields.get("messageId")
    if not isinstance(message_id, str) or not (message_id := message_id.strip()):
        raise InvalidField("$.messageId", "a call needs an id of its own, so that sending it again changes nothing")
    shared["id"] = event_id(message_id)
    if user := plain_id(fields.get("userId")):
        shared["customer_id"] = user
    if "context" in fields and (signature := call.context.get("customer_signature")):
        shared["customer_signature"] = signature
    if anonymous := plain_id(fields.get("anonymousId")):
        shared["visitor_id"] = anonymous
        return
    if not user:
        raise InvalidField("$.anonymousId", "a call names its visitor by anonymousId, userId or both")
    if call.by == PAGE:
        raise InvalidField("$.anonymousId", ANONYMOUS)
    shared["visitor_id"] = visitor_of("segment", user)


def _skew(sent_at: Any, received: datetime) -> Skew:
    """By how much a sender's clock is behind, from when it says that it sent; nothing where that is a few seconds.

    An InvalidField is what is wrong with what it says.
    """
    if sent_at in (None, ""):
        return NO_SKEW
    try:
        skew = received - moment(sent_at, "$.sentAt")
    except InvalidField as wrong:
        return wrong
    return NO_SKEW if abs(skew) < LEAST_SKEW else skew


def _time(call: dict[str, Any], received: datetime, skew: Skew) -> str:
    """When it happened by the server's clock: the sender's is taken to be wrong by as much as when it sent.

    https://segment.com/docs/connections/spec/common/#timestamps. Raises InvalidField for a text that is no time.
    """
    if isinstance(skew, InvalidField):
        raise skew
    given = call.get("originalTimestamp") or call.get("timestamp")
    if given is None:
        return received.isoformat()
    if skew is NO_SKEW and type(given) is str and _usual(given):
        return given
    happened = moment(given, "$.timestamp")
    try:
        return (min(happened + skew, received) if skew else happened).isoformat()
    except OverflowError:
        raise InvalidField("$.timestamp", "too far away") from None
