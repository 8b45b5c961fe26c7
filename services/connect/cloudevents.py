"""CloudEvents over HTTP (https://github.com/cloudevents/spec, HTTP protocol binding 1.0): binary, structured, batches.

The type is that of an event here, as senders name it (`cart_updated`) or as it is stored (`cart.updated.v1`); the data
are its fields. Source and id together name the event, as the specification wants it.
"""

import base64
import binascii
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import unquote

from mesh.errors import InvalidField
from mesh.event import declared
from mesh.lenient_json import decoded
from mesh.translate import Adapter, Foreign, Meaning, NotUnderstood, Translated, Unreadable
from services.connect.names import event_id
from services.connect.times import moment

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
ATTRIBUTES = frozenset({"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema"})


def adapter() -> Adapter:
    """What reads them."""
    return Adapter(translate=translate, accepted=202, refused=422)


def translate(request: Foreign) -> Translated:
    """Each event as one here. Raises Unreadable."""
    content = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content == BATCH:
        found = _json(request.body)
        if not isinstance(found, list):
            raise Unreadable(f"the body of {BATCH} is a list of events")
    elif content == STRUCTURED:
        found = [_json(request.body)]
    elif "ce-specversion" in request.headers:
        found = [_binary(request, content)]
    else:
        raise Unreadable(f"send {STRUCTURED}, {BATCH}, or the headers ce-specversion, ce-id, ce-source and ce-type")
    made = Translated(items=found)
    for index, event in enumerate(found):
        _add(index, event, request.received, made)
    return made


def _json(body: bytes) -> Any:
    try:
        return decoded(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the body must be JSON: {error}") from None


def _binary(request: Foreign, content: str) -> dict[str, Any]:
    """The attributes of the headers (percent-encoded, 3.1.3.2), with the body as data."""
    event: dict[str, Any] = {
        name.removeprefix("ce-"): unquote(value) for name, value in request.headers.items() if name.startswith("ce-")
    }
    if content and content != "application/json" and not content.endswith("+json"):
        raise Unreadable(f"data are JSON (Content-Type: application/json), not {content[:60]}")
    return event | {"data": _json(request.body)}


def _add(index: int, event: Any, received: datetime, made: Translated) -> None:
    if not isinstance(event, dict):
        made.events.append(Meaning(item=index, fields={}, wrong=InvalidField("$", "an event is a JSON object")))
        return
    name = str(event.get("type", ""))
    type_ = _types().get(name, name if name in _types().values() else "")
    if name and not type_:
        reason = "there is no event of this type here; the gateway's /docs has the list"
        made.not_understood.append(NotUnderstood(index=index, name=name, reason=reason))
        return
    fields: dict[str, Any] = {"type": type_}
    try:
        fields = _data(event) | fields
        for attribute in ("specversion", "id", "source", "type"):
            if not isinstance(event.get(attribute), str) or not event[attribute]:
                raise InvalidField(f"$.{attribute}", "missing: every event has specversion, id, source and type")
        if event["specversion"] != "1.0":
            raise InvalidField("$.specversion", "only 1.0 is read")
        fields |= {"id": event_id(event["source"], event["id"]), "time": _time(event, received)}
    except InvalidField as wrong:
        made.events.append(Meaning(item=index, fields=fields, wrong=wrong))
        return
    made.estimated |= event.get("time") is None  # the same event again comes at another time
    made.events.append(Meaning(item=index, fields=fields))


def _data(event: dict[str, Any]) -> dict[str, Any]:
    data = event.get("data")
    if "data_base64" in event:
        try:
            data = decoded(base64.b64decode(str(event["data_base64"]), validate=True))
        except (binascii.Error, ValueError, RecursionError):
            raise InvalidField("$.data_base64", "base64 of JSON") from None
    if isinstance(data, str):  # some libraries put JSON into a text
        try:
            data = decoded(data.encode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            raise InvalidField("$.data", "a JSON object") from None
    if not isinstance(data, dict):
        raise InvalidField("$.data", "a JSON object")
    return dict(data)


def _time(event: dict[str, Any], received: datetime) -> str:
    given = event.get("time")
    return (received if given is None else moment(given, "$.time")).isoformat()


@cache
def _types() -> dict[str, str]:
    """The wire types of all events, and what senders call them."""
    found = {}
    for declaration in declared():
        words = declaration.kind.__name__
        name = "".join(f"_{one.lower()}" if one.isupper() else one for one in words).lstrip("_")
        found |= {declaration.type: name, declaration.name: name}
    return found
