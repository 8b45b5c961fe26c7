"""Webhook: what one says, as events that share an id, a time, and what is known of the shopper."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mesh.errors import InvalidField
from mesh.translate import Meaning, NotUnderstood, Translated
from services.connect.names import event_id, plain_id

Fields = dict[str, Any]


@dataclass
class Webhook:
    """A webhook's body, and the events that follow from it so far.

    `shared` is what all of them have; `certain` what is known of the one that the webhook is about even if the rest is
    wrong: a refused order still ends its shopper's offers.
    """

    body: Fields
    id: str
    shared: Fields = field(default_factory=dict)
    certain: Fields = field(default_factory=dict)
    events: list[Fields] = field(default_factory=list)
    nothing: str = ""
    """Why nothing follows, where that is right: a test order, a draft."""

    def add(self, type_: str, **fields: Any) -> None:
        """One more event; fields that are None are left out."""
        self.events.append({"type": type_} | {name: value for name, value in fields.items() if value is not None})


Reader = Callable[[Webhook], None]
"""Adds to a webhook what it means. Raises InvalidField with the path in the body."""


def translated(webhook: Webhook, name: str, read: Reader | None, kind: str = "") -> Translated:
    """What a webhook of a kind means; `read` is None for one that nothing follows from."""
    made = Translated(items=[webhook.body], restated=True)
    if read is None:
        reason = f"nothing follows from {name[:60]!r} here; services/README.md has the list of those that count"
        made.not_understood.append(NotUnderstood(index=0, name=name, reason=reason))
        return made
    wrong: InvalidField | None = None
    try:
        read(webhook)
    except InvalidField as why:
        wrong = why
    for at, fields in enumerate(webhook.events):
        own = {"id": event_id(kind or name.replace("/", "_").replace(".", "_"), webhook.id, at)}
        made.events.append(Meaning(item=0, fields={**webhook.shared, **fields, **own}))
    if wrong is not None:
        made.events.append(Meaning(item=0, fields=webhook.shared | webhook.certain, wrong=wrong))
    elif not webhook.events:
        reason = webhook.nothing or "nothing in it counts here"
        made.not_understood.append(NotUnderstood(index=0, name=name, reason=reason))
    return made


def required(fields: Fields, name: str, at: str = "$") -> str:
    """An id. Raises InvalidField where there is none."""
    found = plain_id(fields.get(name))
    if not found:
        raise InvalidField(f"{at}.{name}", "missing" if fields.get(name) in (None, "") else "no text, no whole number")
    return found


def text(value: Any) -> str | None:
    """A text that says something, else None."""
    return value.strip() if isinstance(value, str) and value.strip() else None


def inner(fields: Fields, name: str) -> Fields:
    """An object inside; empty where there is none."""
    found = fields.get(name)
    return found if isinstance(found, dict) else {}


def many(fields: Fields, name: str) -> list[Any]:
    """A list inside. Raises InvalidField for anything else."""
    found = fields.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise InvalidField(f"$.{name}", "it must be a list")
    return found


def whole_name(fields: Fields) -> str | None:
    """First and last name, where they are known."""
    parts = (text(fields.get("first_name")), text(fields.get("last_name")))
    return " ".join(one for one in parts if one) or None
