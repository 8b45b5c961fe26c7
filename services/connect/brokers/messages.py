"""Messages: what a broker delivers, as the request that the source of its mapping would have sent.

CloudEvents come as in their bindings of AMQP and Kafka (https://github.com/cloudevents/spec): structured, or binary
with attributes in headers `cloudEvents_`, `cloudEvents:`, `ce_` or `ce-`.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from mesh.lenient_json import decoded
from mesh.translate import Adapter, Foreign
from services.connect.cloudevents import STRUCTURED
from services.connect.cloudevents import adapter as cloudevents
from services.connect.segment import adapter as segment
from services.connect.shopify import adapter as shopify
from services.connect.stripe import adapter as stripe
from services.connect.woocommerce import adapter as woocommerce

ADAPTERS = {
    "cloudevents": cloudevents,
    "segment": segment,
    "shopify": shopify,
    "stripe": stripe,
    "woocommerce": woocommerce,
}
"""Mapping -> what reads it."""
_PREFIXES = ("cloudevents_", "cloudevents:", "ce_", "ce-")


def adapter_of(mapping: str) -> Adapter:
    """What reads messages of a mapping."""
    return ADAPTERS[mapping]()


def foreign(mapping: str, body: bytes, headers: Mapping[str, Any], content_type: str | None) -> Foreign:
    """A message as a request."""
    named = {str(name).lower(): _text(value) for name, value in headers.items()}
    attributes = {
        f"ce-{name.removeprefix(prefix)}": quote(value)
        for name, value in named.items()
        for prefix in _PREFIXES
        if name.startswith(prefix)
    }
    content = content_type or named.get("content-type") or named.get("contenttype") or ""
    if mapping == "cloudevents" and "ce-specversion" not in attributes and not content.startswith("application/cloud"):
        content = STRUCTURED  # as from senders that set no media type
    path = f"/v1/{mapping}" if mapping != "segment" else _segment_path(body)
    known = {**named, **attributes, "content-type": content}
    return Foreign(path=path, headers=known, body=body, received=datetime.now(UTC))


def _segment_path(body: bytes) -> str:
    """The address that a library would have sent a call or a batch to."""
    with suppress(ValueError, RecursionError):
        found = decoded(body)
        if isinstance(found, dict) and "batch" not in found:
            return f"/v1/{found.get('type')}"
    return "/v1/batch"


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.isoformat() if isinstance(value, datetime) else str(value)
