"""AsyncAPI 3.0: every event as a channel, every service's saying and hearing as an operation.

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
from mesh.topology.mesh_toml import Topology

Document = dict[str, Any]
_SCHEMAS = "#/components/schemas/{name}"


def asyncapi(topology: Topology, services: Sequence[Service], *, version: str = "1.0.0") -> Document:
    """The whole document."""
    events = list(declared())
    _, parts = msgspec.json.schema_components([Envelope, *(told.kind for told in events)], ref_template=_SCHEMAS)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Cartmesh",
            "version": version,
            "description": "Every event of the mesh, who says it and who hears it.",
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            region.name: {
                "host": f"nats-{region.name}:4222",
                "protocol": "nats",
                "description": f"Region {region.name}: {region.nodes} servers, JetStream domain {region.name}",
            }
            for region in topology.regions
        },
        "channels": {told.type: _channel(told, topology) for told in events},
        "operations": _operations(services),
        "components": {
            "schemas": json.loads(msgspec.json.encode(parts)),
            "messages": {told.type: _message(told) for told in events},
        },
    }


def _channel(declaration: Declaration, topology: Topology) -> Document:
    return {
        "address": f"{declaration.root}.{{region}}.{declaration.domain}.{declaration.happening}.{{{declaration.key}}}",
        "description": summary(declaration),
        "parameters": {
            "region": {"enum": list(topology.names), "description": "Where it happened"},
            declaration.key: {"description": f"The event's {declaration.key}"},
        },
        "messages": {declaration.type: {"$ref": f"#/components/messages/{declaration.type}"}},
        "x-stream": topology.layout.family_of(declaration).stream("{region}"),
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
    said = {
        f"{service.name}-says-{told.type}": _operation("send", told, f"{service.name} says {told.type}")
        for service in services
        for told in map(declaration_of, service.publishes)
    }
    heard = {
        f"{binding.durable}-hears-{told.type}": _operation("receive", told, binding.summary)
        for service in services
        for binding in service.bindings
        for told in map(declaration_of, binding.kinds)
    }
    return said | heard


def _operation(action: str, declaration: Declaration, words: str) -> Document:
    channel = f"#/channels/{declaration.type}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "summary": words,
        "messages": [{"$ref": f"{channel}/messages/{declaration.type}"}],
    }


def summary(declaration: Declaration) -> str:
    """The first line of an event's docstring."""
    return (inspect.getdoc(declaration.kind) or "").partition("\n")[0]
