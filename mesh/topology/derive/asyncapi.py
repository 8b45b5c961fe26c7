"""AsyncAPI 3.0: every event as a channel, what a service publishes and consumes as operations.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import inspect
import json
from collections.abc import Sequence
from typing import Any

import msgspec

from mesh.envelope import Envelope
from mesh.event import Declaration, declaration_of, declared
from mesh.service import Service
from mesh.streams import StreamLayout

Document = dict[str, Any]
_SCHEMAS = "#/components/schemas/{name}"


def asyncapi(
    regions: Sequence[str], layout: StreamLayout, services: Sequence[Service], *, version: str = "1.0.0"
) -> Document:
    """The whole document."""
    events = list(declared())
    _, parts = msgspec.json.schema_components([Envelope, *(one.kind for one in events)], ref_template=_SCHEMAS)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Cartmesh",
            "version": version,
            "description": "Every event of the mesh, who publishes it and who consumes it.",
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            region: {
                "host": f"nats-{region}:4222",
                "protocol": "nats",
                "description": f"Region {region}: JetStream domain {region}",
            }
            for region in regions
        },
        "channels": {one.type: _channel(one, regions, layout) for one in events},
        "operations": _operations(services),
        "components": {
            "schemas": json.loads(msgspec.json.encode(parts)),
            "messages": {one.type: _message(one) for one in events},
        },
    }


def _channel(declaration: Declaration, regions: Sequence[str], layout: StreamLayout) -> Document:
    return {
        "address": f"{declaration.root}.{{region}}.{declaration.domain}.{declaration.action}.{{{declaration.key}}}",
        "description": " ".join(filter(None, (summary(declaration), older_versions(declaration)))),
        "parameters": {
            "region": {"enum": list(regions), "description": "Where it happened"},
            declaration.key: {"description": f"The event's {declaration.key}"},
        },
        "messages": {declaration.type: {"$ref": f"#/components/messages/{declaration.type}"}},
        "x-stream": layout.family_of(declaration).stream("{region}"),
    }


def _message(declaration: Declaration) -> Document:
    return {
        "name": declaration.type,
        "title": declaration.kind.__name__,
        "summary": summary(declaration),
        "contentType": "application/cloudevents+json",
        "payload": {
            "allOf": [
                {"$ref": _SCHEMAS.format(name=Envelope.__name__)},
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": declaration.type},
                        "data": {"$ref": _SCHEMAS.format(name=declaration.kind.__name__)},
                    },
                },
            ]
        },
    }


def _operations(services: Sequence[Service]) -> Document:
    published = {
        f"{service.name}-publishes-{one.type}": _operation("send", one, f"{service.name} publishes {one.type}")
        for service in services
        for one in map(declaration_of, service.publishes)
    }
    consumed = {
        f"{binding.durable}-consumes-{one.type}": _operation("receive", one, binding.summary)
        for service in services
        for binding in service.bindings
        for one in map(declaration_of, binding.kinds)
    }
    return published | consumed


def _operation(action: str, declaration: Declaration, summary: str) -> Document:
    channel = f"#/channels/{declaration.type}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "summary": summary,
        "messages": [{"$ref": f"{channel}/messages/{declaration.type}"}],
    }


def summary(declaration: Declaration) -> str:
    """The first line of an event's docstring."""
    return (inspect.getdoc(declaration.kind) or "").partition("\n")[0]


def older_versions(declaration: Declaration) -> str:
    """A sentence about its older versions; empty where there is none."""
    older = declaration.older_types
    return f"Stored events of {', '.join(older)} are read as this." if older else ""
