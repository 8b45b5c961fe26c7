"""Documented paths: each path of the gateway with what it is for, who may, an example request and its responses."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from mesh.translate import Translation
from services.gateway import script
from services.gateway.examples import FOREIGN_ANSWER, LIVE_OFFERS, REFUSED, RESPONSES, VERDICTS, event_examples
from services.gateway.intake import MOST_EVENTS

REF = "#/components/schemas/{name}"
REFUSALS = {
    400: "Not JSON, or not a list of events",
    401: "No valid key, and no valid signature",
    403: "The key is not meant for pages of this origin",
    408: "The body did not arrive in time",
    413: "Over 1 MiB or 500 events",
    429: "Too many events at once",
    503: "JetStream cannot take them now; send the same again",
}
_VERDICT = {
    "type": "object",
    "required": ["accepted", "duplicates", "rejected"],
    "properties": {
        "accepted": {"type": "integer", "description": "stored, among them those that had been stored before"},
        "duplicates": {"type": "integer", "description": "of the accepted, those stored before"},
        "rejected": {"type": "array", "items": {"$ref": REF.format(name="Rejected")}},
        "ignored": {
            "type": "array",
            "description": "fields that were left out of accepted events, unknown ones among them",
            "items": {"$ref": REF.format(name="Ignored")},
        },
    },
}


def documented_paths(variants: list[dict[str, str]], translations: Sequence[Translation]) -> dict[str, Any]:
    """Path -> method -> OpenAPI operation.

    `variants` are references to the events that may be sent, `translations` the adapters of other systems' requests.
    """
    return {
        "/v1/events": {"post": _post_events(variants)},
        "/v1/visitors/{visitor_id}/offers/live": {"get": _get_offers()},
        "/v1/updates": {"get": _ready(), "post": _short(_post_events(variants), "/v1/events")},
        "/v1/cards/{visitor_id}": {"get": _short(_get_offers(), "/v1/visitors/{visitor_id}/offers/live")},
        "/v1/history": {"post": _post_history(variants)},
        **{path: {"post": _post_foreign(one, path)} for one in translations for path in one.paths},
        **{path: {"get": _script_file(path, words)} for path, words in script.PATHS.items()},
    }


def _post_history(variants: list[dict[str, str]]) -> dict[str, Any]:
    operation = _post_events(variants)
    again = {
        "name": "again",
        "in": "query",
        "description": "false: none of these events was sent before, but in the last two minutes; none is looked up",
        "schema": {"type": "boolean", "default": True},
        "example": True,
    }
    return operation | {
        "summary": "Store the past",
        "tags": ["Other systems"],
        "description": "What happened before the shop used Cartmesh, up to thirty years ago: views, searches, "
        "checkouts, carts, confirmed orders. It is stored under its own time and begins nothing: no timer, no offer, "
        "no mail. `cartmesh import` sends it.",
        "security": [{"server_key": []}],
        "parameters": [again],
    }


def _post_foreign(translation: Translation, path: str) -> dict[str, Any]:
    adapter = translation.build()
    answer = {"schema": {"type": "object"}, "example": FOREIGN_ANSWER}
    responses = {str(status): _problem(status, words) for status, words in REFUSALS.items()}
    responses["415"] = _problem(415, "The body is packed by something else than gzip")
    taken = {"description": "Taken, but for what the answer names", "content": {"application/json": answer}}
    responses[str(adapter.accepted)] = taken
    if adapter.refused != adapter.accepted:
        refused = responses.setdefault(str(adapter.refused), {"description": "", "content": {}})
        refused["description"] = "Every part is refused, or the body cannot be read"
        refused["content"]["application/json"] = answer
    return {
        "summary": f"{translation.summary.rstrip('.')} ({path.rpartition('/')[2]})",
        "tags": ["Other systems"],
        "description": "A request in the form of " + translation.source + ". What follows from it is stored as if it "
        "had come to `/v1/events`; what was refused or not understood stands in the answer, and in the console under "
        "Connections.",
        "security": [{"write_key": []}, {"server_key": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": responses,
    }


def _short(operation: dict[str, Any], path: str) -> dict[str, Any]:
    """The same operation under the short path that the browser script uses."""
    words = f"The same as `{path}`, under a path that no blocker has a rule for. The browser script uses it.\n\n"
    return operation | {
        "summary": f"{operation['summary']} (short path)",
        "tags": ["Browser script"],
        "description": words + operation["description"],
        "security": [{"write_key": []}, {"key": []}],
    }


def _post_events(variants: list[dict[str, str]]) -> dict[str, Any]:
    events = {"type": "array", "maxItems": MOST_EVENTS, "items": {"oneOf": variants}}
    schema = {"type": "object", "required": ["events"], "properties": {"events": events}}
    verdicts = {
        "202": "Stored, but for those rejected",
        "422": "Every event is rejected: sending them again changes nothing",
    }
    return {
        "summary": "Store events",
        "tags": ["Storefront"],
        "description": "Answers 202 only once JetStream has acknowledged every accepted event. "
        "Each bad event is rejected by itself; a bad field that may be absent is left "
        "out and named in `ignored`. Sending the same events again, with the same ids, is always safe. "
        "What only `server` sends needs a server key; what is `signed` needs no key, but the signature of a carrier "
        "that this gateway knows. Choose an example below for each kind of event.",
        "security": [{"write_key": []}, {"server_key": []}, {"signature": []}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "examples": event_examples(datetime.now(UTC))}},
        },
        "responses": {
            **{
                status: {
                    "description": words,
                    "content": {"application/json": {"schema": _VERDICT, "example": VERDICTS[status]}},
                }
                for status, words in verdicts.items()
            },
            **{str(status): _problem(status, words) for status, words in REFUSALS.items()},
        },
    }


def _get_offers() -> dict[str, Any]:
    return {
        "summary": "Live offers of a visitor",
        "tags": ["Storefront"],
        "description": "Server-sent events: `offer` with a card to show, `withdrawn` once the visitor bought. "
        "The id of an event is its place in the log; a browser that reconnects with Last-Event-ID is sent "
        "only what is newer. EventSource has no headers, so the write key is also taken as `key`.\n\n"
        "```js\nnew EventSource('/v1/visitors/visitor-1/offers/live?key=demo')\n"
        "  .addEventListener('offer', event => show(JSON.parse(event.data).card))\n```",
        "security": [{"write_key": []}, {"key": []}],
        "parameters": [
            {
                "name": "visitor_id",
                "in": "path",
                "required": True,
                "description": "The id with which the visitor's events are sent",
                "schema": {"type": "string"},
                "example": "visitor-1",
            },
            {
                "name": "Last-Event-ID",
                "in": "header",
                "description": "Sent by browsers when they reconnect",
                "schema": {"type": "string"},
                "example": "",
            },
        ],
        "responses": {
            "200": {
                "description": "A stream that stays open",
                "content": {"text/event-stream": {"schema": {"type": "string"}, "example": LIVE_OFFERS}},
            },
            "401": _problem(401, REFUSALS[401]),
            "429": _problem(429, "Too many pages are open"),
        },
    }


def _ready() -> dict[str, Any]:
    return {
        "summary": "Whether events are taken now",
        "tags": ["Browser script"],
        "description": "The browser script asks before it sends events to another region than before, so that none is "
        "stored in two. It needs no key.\n\n```sh\ncurl http://127.0.0.1:8080/v1/updates\n```",
        "responses": {
            "200": _text("JetStream answers: send", "ok\n", "text/plain"),
            "503": _problem(503, "Not now: try again, or another region"),
        },
    }


def _script_file(path: str, words: script.Described) -> dict[str, Any]:
    response, media_type = RESPONSES[path]
    parameters = [
        {"name": name, "in": where, "required": where == "path", "description": about, "schema": {"type": "string"},
         "example": example}
        for name, where, about, example in words.parameters
    ]  # fmt: skip
    responses = {"200": _text(words.summary, response, media_type)}
    if any(where == "path" for _, where, _, _ in words.parameters):
        responses["404"] = _problem(404, "This version is no longer served")
    return {
        "summary": words.summary,
        "tags": ["Browser script"],
        "description": words.description,
        "parameters": parameters,
        "responses": responses,
    }


def _text(words: str, example: str, media_type: str) -> dict[str, Any]:
    return {"description": words, "content": {media_type: {"schema": {"type": "string"}, "example": example}}}


def _problem(status: int, words: str) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": words,
        "content": {
            "application/problem+json": {
                "schema": {"$ref": REF.format(name="Problem")},
                "example": {"status": status, **REFUSED[status]},
            }
        },
    }
    if status in (429, 503):
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return response
