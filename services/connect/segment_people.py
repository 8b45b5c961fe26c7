"""Segment's `identify` as events here: who a visitor is, and whether they may be written to."""

from typing import Any

from mesh.errors import InvalidField
from services.connect.segment_call import Call, Fields

CONSENTS = ("marketing_consent", "email_consent")
"""Traits that say, as true or false, whether the visitor may be mailed. Nothing else is taken for a consent."""


def identified(call: Call) -> list[Fields]:
    """The visitor's address, name and language. Raises InvalidField."""
    traits = call.object("traits")
    found: list[Fields] = []
    if traits.get("email") not in (None, ""):
        call.shared["type"] = "customer_identified"
        known = {
            "email": traits["email"],
            "name": _name(traits),
            "locale": _text(call.context.get("locale")),
            "time_zone": _text(call.context.get("timezone")),
        }
        found.append({"type": "customer_identified"} | {name: one for name, one in known.items() if one is not None})
    for trait in CONSENTS:
        if trait in traits:
            if not isinstance(traits[trait], bool):
                raise InvalidField(f"$.traits.{trait}", "a consent is true or false")
            found.append({"type": "consent_changed", "channel": "email", "granted": traits[trait]})
            break
    return found or [{"not_understood": "no traits.email: a visitor is identified by an address"}]


def _name(traits: Fields) -> str | None:
    whole = _text(traits.get("name"))
    parts = [_text(traits.get(one)) for one in ("firstName", "lastName")]
    return whole or " ".join(one for one in parts if one) or None


def _text(value: Any) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() else None
