"""Samples: an event of each type as it may look, made from its class alone: no shopper's event is shown."""

from typing import Any

import msgspec
from msgspec import inspect

from mesh.event import Declaration

MOMENT = "2026-05-01T12:00:00Z"
ENCRYPTED = "aes-siv:0f3c..."
"""How a personal field is stored."""
_PLAIN: dict[type[inspect.Type], Any] = {
    inspect.IntType: 1,
    inspect.FloatType: 0.5,
    inspect.BoolType: True,
    inspect.DateTimeType: MOMENT,
    inspect.DateType: MOMENT[:10],
    inspect.TimeType: MOMENT[11:19],
    inspect.TimeDeltaType: "PT1H",
    inspect.BytesType: "AA==",
    inspect.NoneType: None,
    inspect.AnyType: {},
}
_WORDS = {
    "currency": "EUR",
    "locale": "de-DE",
    "country": "DE",
    "time_zone": "Europe/Berlin",
    "sku": "sku-1",
    "by": "server",
}
"""Values of fields whose name alone says what they hold."""


def sample(declaration: Declaration) -> dict[str, Any]:
    """The data of an event, with every field that it may have; it is read as the event by the event's own class."""
    data: dict[str, Any] = _of(inspect.type_info(declaration.kind), "", ())
    return data | dict.fromkeys(declaration.encrypted, ENCRYPTED)


def cloud_event(declaration: Declaration) -> dict[str, Any]:
    """The sample in its envelope."""
    data = sample(declaration)
    return {
        "specversion": "1.0",
        "id": "8f0c2a...",
        "source": "/<region>/<service>",
        "type": declaration.type,
        "subject": data[declaration.key],
        "time": MOMENT,
        "datacontenttype": "application/json",
        "data": data,
    }


def _of(kind: inspect.Type, name: str, within: tuple[type, ...]) -> Any:
    """A value of a type; `name` is the field's, `within` are the structs around it: one in itself is left out."""
    match kind:
        case inspect.UnionType() | inspect.Metadata():
            several = kind.types if isinstance(kind, inspect.UnionType) else (kind.type,)
            return _of(next(one for one in several if not isinstance(one, inspect.NoneType)), name, within)
        case inspect.StructType():
            around = (*within, kind.cls)
            return _tagged(kind) | {one.encode_name: _of(one.type, one.name, around) for one in kind.fields}
        case inspect.DictType():
            return {_of(kind.key_type, "", within): _of(kind.value_type, name, within)}
        case inspect.TupleType():
            return [_of(one, name, within) for one in kind.item_types]
        case inspect.VarTupleType() | inspect.ListType() | inspect.SetType() | inspect.FrozenSetType():
            inner = kind.item_type
            return [] if isinstance(inner, inspect.StructType) and inner.cls in within else [_of(inner, name, within)]
    return _one(kind, name)


def _one(kind: inspect.Type, name: str) -> Any:
    """A value of a type that has no others in it."""
    match kind:
        case inspect.StrType():
            return _text(kind, name)
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.EnumType():
            return next(iter(kind.cls)).value
        case inspect.IntType() | inspect.FloatType() if kind.ge is not None:
            return kind.ge
    return _PLAIN[type(kind)]


def _text(kind: inspect.StrType, name: str) -> str:
    word = _WORDS.get(name) or (f"{name.removesuffix('_id').replace('_', '-')}-1" if name else "name")
    return word.ljust(kind.min_length or 0, "x")[: kind.max_length]


def _tagged(kind: inspect.StructType) -> dict[str, Any]:
    return {kind.tag_field: kind.tag} if kind.tag_field else {}


def as_json(value: Any) -> str:
    """Indented, as people read it."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
