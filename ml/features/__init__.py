"""Features, one per file, each with two faces: on line a fold over steps, off line one polars expression.

The registry is this folder: a module with a value called `feature` is one, and the file's name is its name.
Names are stable, because models are stored with them. A file needs nothing else but its description for people;
what several features remember in the same way (the same `begin`, `update` and `kinds`) is kept once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Literal, get_args

from ml.clickstream.steps import Kind, Step

if TYPE_CHECKING:
    import polars as pl

EVENTS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "moment")
Number = int | float


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """One number about a session or a visitor.

    On line: `begin` is what is remembered before the first step, `update(memory, step)` what is remembered
    after a step of a kind in `kinds`, in time order, and `value(memory, now)` the number at `now` (seconds
    since 1970 UTC, not before the newest step), always finite. Memories are values: an update never alters
    the one it was given, so that they can be kept and gone back to, and are bounded in size.

    Off line: `expression()` is the same number at every row of ordered rows (`lookback`), itself included;
    `aids()` are columns that it and other features read, computed once, each after those before it.
    """

    scope: Literal["session", "visitor"]
    update: Callable[[Any, Step], Any]
    expression: Callable[[], "pl.Expr"]
    describe: Callable[[float], str]
    kinds: tuple[Kind, ...] = EVENTS
    begin: Any = 0
    value: Callable[[Any, float], Number] = lambda memory, _now: memory
    aids: Callable[[], dict[str, "pl.Expr"]] = dict
    name: str = ""


def count(seen: int, _step: Step) -> int:
    """One more: the update of features that count."""
    return seen + 1


def when(_before: float | None, step: Step) -> float:
    """The time of the newest step: the update of features that measure from it."""
    return step.at


def first(before: float | None, step: Step) -> float:
    """The time of the first step."""
    return step.at if before is None else before


def elapsed(since: float | None, now: float) -> float:
    """Seconds from then to now, -1 when it never was."""
    return -1.0 if since is None else now - since


@cache
def catalogue() -> tuple[Feature, ...]:
    """Every feature in this folder, by name."""
    return tuple(sorted(_found(), key=lambda feature: feature.name))


@cache
def names() -> tuple[str, ...]:
    """The names of all features, in the order that models see them."""
    return tuple(feature.name for feature in catalogue())


@cache
def digest() -> str:
    """Twelve hexadecimal digits that stand for `names()`: equal only where features and their order are."""
    return sha256("\n".join(names()).encode()).hexdigest()[:12]


def _found() -> Iterator[Feature]:
    for module in iter_modules(__path__):
        feature = getattr(import_module(f"{__name__}.{module.name}"), "feature", None)
        if isinstance(feature, Feature):
            yield replace(feature, name=module.name)
