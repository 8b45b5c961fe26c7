"""Form: a webhook as the console's form sends it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from mesh.errors import InvalidField
from services.webhooks.webhook import WebhookForm

LONGEST_FILTERS = 16 * 1024
BROKER_FIELDS = ("target", "routing", "user")


def webhook_form(sent: Any) -> WebhookForm:
    """What a form says. `sent` has several values of `types`. Raises InvalidField with the field that is wrong."""
    throttle = str(sent.get("throttle", "")).strip()
    fields = {
        "name": str(sent.get("name", "")).strip(),
        "url": str(sent.get("url", "")).strip(),
        "kind": str(sent.get("kind", "https")),
        **{name: str(sent.get(name, "")).strip() for name in BROKER_FIELDS},
        "types": [str(one) for one in sent.getall("types", [])],
        "filters": filters_of(str(sent.get("filters", ""))),
        "ordered": sent.get("ordered") == "yes",
        "throttle": _number(throttle) if throttle else None,
        "signature": str(sent.get("signature", "hmac")),
        "mode": str(sent.get("mode", "structured")),
    }
    if password := str(sent.get("password", "")):
        fields["password"] = password
    try:
        return msgspec.convert(fields, WebhookForm)
    except msgspec.ValidationError as wrong:
        raise InvalidField("$", str(wrong)) from None


def filters_of(text: str) -> list[Any]:
    """The filters in a text field: a JSON array, or nothing."""
    if not text.strip():
        return []
    if len(text) > LONGEST_FILTERS:
        raise InvalidField("$.filters", f"at most {LONGEST_FILTERS:,} characters")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidField("$.filters", f"no JSON: {error}") from None
    return found if isinstance(found, list) else [found]


def moment_of(sent: Mapping[str, Any], name: str) -> datetime:
    """A time of a form, which is meant in UTC."""
    try:
        at = datetime.fromisoformat(str(sent.get(name, "")).strip())
    except ValueError:
        raise InvalidField(f"$.{name}", "a time (UTC) such as 2026-05-01T12:00") from None
    return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)


def _number(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise InvalidField("$.throttle", "a number of deliveries a second, or nothing") from None
