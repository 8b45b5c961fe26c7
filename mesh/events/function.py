"""What functions publish."""

from typing import Any

from msgspec import field

from mesh.event import Event, event


@event(key="key")
class FunctionEmitted(Event):
    """A function published something: `name` says what, and `data` is its own.

    `key` is whose it is, such as an order's id. `hops` counts the functions behind one another that led to it.
    """

    key: str
    name: str
    function: str
    data: dict[str, Any] = field(default_factory=dict)
    hops: int = 0
