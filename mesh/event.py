"""Event: a frozen struct that knows its wire type, its key and how far it may travel.

An event that must change in a way old readers cannot bear gets a new version: the class is changed, and `upcasts` say
what makes each older version's JSON the next one's. All versions share one subject; the class is always the newest.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from operator import attrgetter
from types import NoneType
from typing import Any, TypeVar, dataclass_transform, get_args

import msgspec

from mesh.errors import DeclarationError


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _EventMeta(msgspec.StructMeta):
    """Makes every event frozen and keyword-only, which msgspec does not pass on to subclasses."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> "_EventMeta":
        return super().__new__(cls, name, bases, namespace, **{"frozen": True, "kw_only": True} | options)


class Event(msgspec.Struct, metaclass=_EventMeta):
    """Something that happened. Declare one with `@event(key=...)` in `mesh/events/<domain>.py`.

    One that a single service publishes and no other consumes may stand in that service's own file.
    """


Upcast = Callable[[dict[str, Any]], dict[str, Any]]
"""Makes the JSON object of one version that of the next. Pure; it may change and return what it is given.

Encrypted fields are ciphertext here: they can be renamed or left out, and no more.
"""


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What the mesh knows of an event class.

    `domain` and `action` are subject tokens; `key` names the field whose value is the last token;
    `personal` events never leave their region; of those the fields `encrypted` are stored under a key of
    their person (`mesh/personal_data.py`); `ttl` removes the stored message after that time.
    `upcasts` lead from version 1 to `version`, one step each.
    """

    kind: type[Event]
    domain: str
    action: str
    key: str
    version: int
    personal: bool
    ttl: timedelta | None
    encrypted: tuple[str, ...] = ()
    upcasts: tuple[Upcast, ...] = ()

    @cached_property  # each reading of a history sorts all declarations by their types
    def name(self) -> str:
        """What all its versions have in common, such as `cart.updated`."""
        return f"{self.domain}.{self.action}"

    @cached_property
    def type(self) -> str:
        """The wire type, such as `cart.updated.v1`."""
        return f"{self.name}.v{self.version}"

    @property
    def older_types(self) -> tuple[str, ...]:
        """The wire types of its older versions, oldest first."""
        return tuple(f"{self.name}.v{version}" for version in range(1, self.version))

    @property
    def root(self) -> str:
        """First subject token: `pii` where the data is personal, else `ev`."""
        return "pii" if self.personal else "ev"


E = TypeVar("E", bound=Event)

_by_type: dict[str, Declaration] = {}
"""Every wire type that can be read, those of older versions too."""
_by_name: dict[str, Declaration] = {}
_by_kind: dict[type, Declaration] = {}


def event(
    *,
    key: str,
    version: int = 1,
    upcasts: tuple[Upcast, ...] = (),
    personal: bool = False,
    ttl: timedelta | None = None,
    encrypted: tuple[str, ...] = (),
) -> Callable[[type[E]], type[E]]:
    """Declare an event. Its domain is its module, its action the rest of its name.

    `OrderPaid` in `mesh/events/order.py` is `order.paid.v1`; `ProductViewed` in `interaction.py`,
    which does not begin with its domain, is `interaction.product_viewed.v1`. `PointsChanged` in `services/loyalty.py`
    is `loyalty.points_changed.v1`, and stays so when it moves to `mesh/events/loyalty.py`.
    A `version` above 1 needs an upcast from each version before it: `upcasts=(from_v1, from_v2)` of version 3.
    Raises DeclarationError for a key that is no field, a name that is taken, an upcast that is missing, or an
    `encrypted` field that could not be read as None after its person's key was destroyed.
    """

    def declare(kind: type[E]) -> type[E]:
        domain = kind.__module__.rpartition(".")[2]
        action = _snake(kind.__name__).removeprefix(f"{domain}_")
        declaration = Declaration(
            kind=kind,
            domain=domain,
            action=action,
            key=key,
            version=version,
            personal=personal,
            ttl=ttl,
            encrypted=encrypted,
            upcasts=tuple(upcasts),
        )
        if len(declaration.upcasts) != version - 1:
            raise DeclarationError(
                f"{kind.__name__} is version {version} and has {len(declaration.upcasts)} upcasts: stored events of "
                f"every version before it are still read, so it needs {version - 1}"
            )
        if key not in kind.__struct_fields__:
            raise DeclarationError(f"{kind.__name__}: key={key!r} is not one of its fields {kind.__struct_fields__}")
        if not (kind.__doc__ or "").strip():
            raise DeclarationError(f"{kind.__name__} needs a docstring: its first line stands in the catalogue")
        for name in encrypted:
            if not personal or name == key or not _may_be_absent(kind, name):
                raise DeclarationError(
                    f"{kind.__name__}: encrypted {name!r} must be `str | None = None`, of a personal event"
                )
        taken = _by_name.get(declaration.name)
        if taken and (taken.kind.__module__, taken.kind.__name__) != (kind.__module__, kind.__name__):
            raise DeclarationError(f"{declaration.name} is declared twice: {taken.kind.__name__} and {kind.__name__}")
        _by_name[declaration.name] = _by_kind[kind] = declaration
        _by_type.update(dict.fromkeys((*declaration.older_types, declaration.type), declaration))
        return kind

    return declare


def declaration_of(kind: type[Event]) -> Declaration:
    """The declaration of an event class; DeclarationError when it has none."""
    try:
        return _by_kind[kind]
    except KeyError:
        raise DeclarationError(f"{kind.__name__} is not declared: put @event(key=...) above it") from None


def find(type_: str) -> Declaration | None:
    """The declaration that reads a wire type, of this version or an older one; None where there is none."""
    return _by_type.get(type_)


def newer(type_: str) -> Declaration | None:
    """The declaration of which a wire type is a newer version than is known here; None where it is none."""
    name, _, version = type_.rpartition(".v")
    known = _by_name.get(name)
    return known if known and version.isdecimal() and int(version) > known.version else None


def declared() -> Iterator[Declaration]:
    """All declared events, by wire type."""
    return iter(sorted(_by_name.values(), key=attrgetter("type")))


def key_of(happened: Event) -> str:
    """The value of an event's key field."""
    key: str = getattr(happened, declaration_of(type(happened)).key)
    return key


def _may_be_absent(kind: type[Event], name: str) -> bool:
    found = next((field for field in msgspec.structs.fields(kind) if field.name == name), None)
    return found is not None and found.default is None and set(get_args(found.type)) == {str, NoneType}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
