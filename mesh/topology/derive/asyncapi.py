"""AsyncAPI 3.0: every event as a channel, every service's saying and hearing as an operation.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import inspect
import json
from collections.abc import Sequence
from typing import Any

import msgspec

from mesh.envelope import Envelope
from mesh.event import Declaration, declaration, declared
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


def _channel(told: Declaration, topology: Topology) -> Document:
    return {
        "address": f"{told.root}.{{region}}.{told.domain}.{told.happening}.{{{told.key}}}",
        "description": summary(told),
        "parameters": {
            "region": {"enum": list(topology.names), "description": "Where it happened"},
            told.key: {"description": f"The event's {told.key}"},
        },
        "messages": {told.type: {"$ref": f"#/components/messages/{told.type}"}},
    }


def _message(told: Declaration) -> Document:
    return {
        "name": told.type,
        "title": told.kind.__name__,
        "summary": summary(told),
        "contentType": "application/cloudevents+json",
        "payload": {
            "allOf": [
                {"$ref": _SCHEMAS.format(name=Envelope.__name__)},
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": told.type},
                        "data": {"$ref": _SCHEMAS.format(name=told.kind.__name__)},
                    },
                },
            ]
        },
    }


def _operations(services: Sequence[Service]) -> Document:
    said = {
        f"{service.name}-says-{told.type}": _operation("send", told, f"{service.name} says {told.type}")
        for service in services
        for told in map(declaration, service.publishes)
    }
    heard = {
        f"{binding.durable}-hears-{told.type}": _operation("receive", told, binding.summary)
        for service in services
        for binding in service.bindings
        for told in map(declaration, binding.kinds)
    }
    return said | heard


def _operation(action: str, told: Declaration, words: str) -> Document:
    channel = f"#/channels/{told.type}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "summary": words,
        "messages": [{"$ref": f"{channel}/messages/{told.type}"}],
    }


def summary(told: Declaration) -> str:
    """The first line of an event's docstring."""
    return (inspect.getdoc(told.kind) or "").partition("\n")[0]
