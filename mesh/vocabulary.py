"""Vocabulary: the names that a field may hold, to which anybody can register one more.

An event holds a name as a plain token, so that a reader who does not know the name still reads the event. Names are
checked where they come from outside (`Vocabulary.require`) and where they are configured.
"""

from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import Annotated, Any, Generic, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from mesh.errors import DeclarationError, UnknownName

PATTERN = "^[A-Za-z0-9_-]{1,128}$"
Token = Annotated[str, msgspec.Meta(pattern=PATTERN)]
"""A name in an event: 1 to 128 of A-Z a-z 0-9 _ and -."""


class Named(Protocol):
    """Whatever can be registered."""

    @property
    def name(self) -> str:
        """The token that events hold."""


N = TypeVar("N", bound=Named)


class Vocabulary(Generic[N]):
    """The registered names of one kind, such as channels."""

    def __init__(self, kind: str) -> None:
        """`kind` is what one of them is called in messages: `channel`."""
        self.kind = kind
        self._known: dict[str, N] = {}

    def register(self, entry: N) -> N:
        """Add an entry and return it. DeclarationError where its name is no token or means something else already."""
        try:
            msgspec.convert(entry.name, Token)
        except msgspec.ValidationError:
            raise DeclarationError(f"{self.kind} {entry.name!r}: a name is 1 to 128 of A-Z a-z 0-9 _ and -") from None
        if self._known.setdefault(entry.name, entry) != entry:
            raise DeclarationError(f"{self.kind} {entry.name!r} is registered twice, with different content")
        return entry

    def require(self, name: str) -> N:
        """The entry of a name; UnknownName, with all names that are registered, where there is none."""
        try:
            return self._known[name]
        except KeyError:
            raise UnknownName(f"unknown {self.kind} {name[:40]!r}; there are {', '.join(self)}") from None

    def get(self, name: str) -> N | None:
        """The entry of a name, or None."""
        return self._known.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._known))


@cache
def vocabularies(kind: type) -> dict[str, Vocabulary[Any]]:
    """Field -> vocabulary, for those fields of a struct whose annotation names one in its `Meta(extra=...)`."""
    found: dict[str, Vocabulary[Any]] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        for part in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
            for meta in getattr(part, "__metadata__", ()):
                if isinstance(meta, msgspec.Meta) and meta.extra and "vocabulary" in meta.extra:
                    found[name] = meta.extra["vocabulary"]
    return found
