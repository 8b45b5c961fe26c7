"""Partner events: which events may leave the mesh, and what of them.

A list, so that an event that is added tomorrow stays here until somebody decides otherwise. Personal events (`pii.`),
what services ask of each other, and what the mesh says of itself are not in it. `WITHHELD` fields are left out wherever
they stand: a visitor's id is enough to listen to that visitor's offers, and the others tell who somebody is or what
they were judged by.
"""

from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from urllib.parse import quote

import msgspec

from mesh import Received
from mesh.envelope import Envelope, open_envelope
from mesh.event import Event, declaration_of
from mesh.events.cart import CartAbandoned, CartClosed, CartConverted, CartRecovered, CartUpdated
from mesh.events.order import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderPlaced,
    OrderReaddressed,
    OrderRefunded,
    OrderReturned,
)
from mesh.events.payment import (
    PaymentAuthorised,
    PaymentCaptured,
    PaymentChargebackReversed,
    PaymentChargedBack,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
)
from mesh.events.product import ProductListed
from mesh.events.shipment import ShipmentCreated, ShipmentDelivered, ShipmentDispatched, ShipmentReturned
from mesh.events.stock import StockLevelChanged, StockLowReached, StockReplenished

PARTNER_EVENTS: tuple[type[Event], ...] = (
    CartAbandoned,
    CartClosed,
    CartConverted,
    CartRecovered,
    CartUpdated,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderPlaced,
    OrderReaddressed,
    OrderRefunded,
    OrderReturned,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentChargebackReversed,
    PaymentChargedBack,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
    ProductListed,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentReturned,
    StockLevelChanged,
    StockLowReached,
    StockReplenished,
)
WITHHELD = frozenset(
    {
        "address",
        "answers",
        "billing_address",
        "buyer",
        "card",
        "command",
        "device",
        "email",
        "offer_id",
        "payment_method",
        "session_id",
        "utc_offset",
        "visitor_id",
    }
)
_UNQUOTED = "".join(map(chr, range(0x21, 0x7F))).translate({ord('"'): None, ord("%"): None})
"""What a header may hold of an attribute as it is: printable ASCII without space, double quote and percent."""
_encoder = msgspec.json.Encoder()


def types() -> list[str]:
    """The wire types that a partner may subscribe to."""
    return sorted(declaration_of(kind).type for kind in PARTNER_EVENTS)


def attributes(received: Received) -> dict[str, str]:
    """The CloudEvents attributes of an event as texts, which filters look at."""
    declaration = declaration_of(type(received.event))
    return {
        "specversion": "1.0",
        "id": received.id,
        "source": _source(received),
        "type": declaration.type,
        "subject": getattr(received.event, declaration.key),
        "time": received.time.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
    }


def body(received: Received) -> bytes:
    """The event as partners get it: CloudEvents 1.0 in structured JSON mode, without what is withheld."""
    declaration = declaration_of(type(received.event))
    data = _encoder.encode(received.event)
    if withheld := _withheld(declaration.kind):
        data = _encoder.encode(_without(msgspec.json.decode(data), withheld))
    envelope = Envelope(
        specversion="1.0",
        id=received.id,
        source=_source(received),
        type=declaration.type,
        subject=getattr(received.event, declaration.key),
        time=received.time,
        traceparent=received.traceparent,
        data=msgspec.Raw(data),
    )
    return _encoder.encode(envelope)


def attributes_of(envelope: Envelope) -> dict[str, str]:
    """The attributes that stand beside an event's data in binary mode, in any protocol's binding of CloudEvents."""
    values = {
        "specversion": envelope.specversion,
        "id": envelope.id,
        "source": envelope.source,
        "type": envelope.type,
        "subject": envelope.subject,
        "time": envelope.time.isoformat().replace("+00:00", "Z"),
        "traceparent": envelope.traceparent or "",
    }
    return {name: value for name, value in values.items() if value}


def binary(event: bytes) -> tuple[dict[str, str], str, bytes]:
    """An event that is in structured mode, in the parts of binary mode: attributes, media type, and data."""
    envelope = open_envelope(event)
    return attributes_of(envelope), envelope.datacontenttype, bytes(envelope.data)


def http_headers(attributes: dict[str, str]) -> dict[str, str]:
    """Attributes as the headers of the HTTP binding's binary mode.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md, section 3.1.3.
    """
    return {f"ce-{name}": quote(value, safe=_UNQUOTED) for name, value in attributes.items()}


def _source(received: Received) -> str:
    return f"/{received.region}/{received.source}"


@cache
def _withheld(kind: type[Event]) -> frozenset[str]:
    """The names of an event's fields, at any depth, that are left out."""
    declaration = declaration_of(kind)
    return (WITHHELD & _names(kind, set())) | frozenset(declaration.encrypted)


def _names(kind: Any, seen: set[Any]) -> set[str]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind in seen:
            return set()
        seen.add(kind)
        hints = get_type_hints(kind)
        return set(hints).union(*(_names(hint, seen) for hint in hints.values()))
    if get_origin(kind) in (Union, UnionType, tuple, list, dict, frozenset, set):
        return set[str]().union(*(_names(one, seen) for one in get_args(kind)))
    return set()


def _without(value: Any, withheld: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(one, withheld) for name, one in value.items() if name not in withheld}
    return [_without(one, withheld) for one in value] if isinstance(value, list) else value
