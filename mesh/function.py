"""Function: a plain function in a file of one's own that is called for each event, in a process of its own.

    @function(on=OrderPlaced, filter=[{"prefix": {"subject": "DE-"}}], publishes=("parcel.labelled",))
    def label_parcel(placed: OrderPlaced, context: Context) -> Emit:
        context.log.info("order %s", placed.order_id)
        return Emit("parcel.labelled", key=placed.order_id, data={"lines": len(placed.lines)})

It may be `async`, and may return or yield one `Emit`, several, or none. It raises `Retry` or `Bury` as handlers do;
after anything else it is called again with backoff, and its event becomes a dead letter when its retries are used up.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from logging import Logger
from typing import Any, TypeVar

import msgspec

from mesh.errors import DeclarationError, InvalidField
from mesh.event import Event, declaration_of
from mesh.filters import compiled

F = TypeVar("F", bound=Callable[..., Any])
RETRIES = 8
LONGEST_NAME = 60
_is_name = re.compile(r"[a-z][a-z0-9_]*", re.ASCII).fullmatch
_is_emitted = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", re.ASCII).fullmatch


class Emit(msgspec.Struct, frozen=True):
    """Something to publish when the function has returned: its name, whose it is, and any JSON.

    It becomes a `function.emitted.v1`, stored once however often the function is called for its event.
    """

    name: str
    key: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a function may know besides its event.

    `deadline` (aware UTC) is when its process is killed; `attempt` counts from 1; `id` and `time` are the event's.
    What `log` takes is shown with what the function prints.
    """

    id: str
    time: datetime
    region: str
    attempt: int
    deadline: datetime
    log: Logger


@dataclass(frozen=True, kw_only=True)
class Function:
    """A declared function, see `function`."""

    name: str
    handler: Callable[..., Any]
    kinds: tuple[type[Event], ...]
    filters: Sequence[Any]
    publishes: tuple[str, ...]
    retries: int
    deadline: timedelta | None


declared: list[Function] = []
"""The functions of the file that this process has imported."""


def function(
    *,
    on: type[Event] | tuple[type[Event], ...],
    filter: Sequence[Any] = (),
    publishes: tuple[str, ...] = (),
    retries: int = RETRIES,
    deadline: timedelta | None = None,
) -> Callable[[F], F]:
    """Call the function for each of these events that the filters match, which are those of CloudEvents Subscriptions.

    `publishes` are the names that it may emit. It fails where it takes longer than `deadline` (None: as long as the
    setting `functions_deadline` allows, which it may not exceed).
    Raises DeclarationError for a personal event, a filter that is none, or a name that cannot be published.
    """
    kinds = on if isinstance(on, tuple) else (on,)

    def declare(handler: F) -> F:
        name = handler.__name__
        if not _is_name(name) or len(name) > LONGEST_NAME:
            raise DeclarationError(f"{name!r}: a function's name is at most {LONGEST_NAME} of a-z, 0-9 and _")
        if any(one.name == name for one in declared):
            raise DeclarationError(f"{name} is declared twice in this file: rename one")
        _check(name, kinds, filter, publishes)
        if retries < 1:
            raise DeclarationError(f"{name}: retries is how often it is called at most: 1 or more")
        declared.append(
            Function(
                name=name,
                handler=handler,
                kinds=kinds,
                filters=filter,
                publishes=tuple(publishes),
                retries=retries,
                deadline=deadline,
            )
        )
        return handler

    return declare


def _check(name: str, kinds: tuple[Any, ...], filters: Sequence[Any], publishes: Any) -> None:
    if not kinds:
        raise DeclarationError(f"{name}: on= needs at least one event, such as OrderPlaced of mesh.events.order")
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Event)):
            raise DeclarationError(f"{name}: on={kind!r} is no event; import one, such as OrderPlaced")
        if declaration_of(kind).personal:
            raise DeclarationError(f"{name}: {declaration_of(kind).type} is personal: functions get no such events")
    try:
        compiled(filters, path="filter")
    except InvalidField as error:
        raise DeclarationError(f"{name}: {error.path}: {error.reason}") from None
    if isinstance(publishes, str):
        raise DeclarationError(f'{name}: publishes is a tuple of names, such as ("{publishes}",)')
    for one in publishes:
        if not isinstance(one, str) or not _is_emitted(one) or len(one) > 2 * LONGEST_NAME:
            raise DeclarationError(f"{name}: publishes={one!r}: write a domain and what happened: parcel.labelled")
