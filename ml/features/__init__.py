"""Features, one per file, each with two faces: on line step by step, off line one polars expression.

The registry is this folder: a class in one of its modules that has a `name` and an `expression` is a feature.
Names are stable, because models are stored with them. Off line the frame is ordered by visitor and time, has
the columns of `ml.dataset.COLUMNS`, and a row's value is what is known at that row, itself included.
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Literal, Protocol

from ml.steps import Step

if TYPE_CHECKING:
    import polars as pl


class Feature(Protocol):
    """One number about a session or a visitor. An instance holds what it must remember of one of them."""

    name: str
    scope: Literal["session", "visitor"]

    def update(self, step: Step) -> None:
        """Learn the next step, in time order."""
        ...

    def value(self, now: float) -> float:
        """The feature at `now` (seconds since 1970 UTC), not before the newest step. Always finite."""
        ...

    @staticmethod
    def expression() -> "pl.Expr":
        """The same number for every row of an ordered frame."""
        ...

    @staticmethod
    def words(value: float) -> str:
        """What a value says about the shopper, for people."""
        ...


@cache
def catalogue() -> tuple[type[Feature], ...]:
    """Every feature in this folder, by name."""
    return tuple(sorted(_found(), key=lambda feature: feature.name))


@cache
def names() -> tuple[str, ...]:
    """The names of all features, in the order that models see them."""
    return tuple(feature.name for feature in catalogue())


def _found() -> Iterator[type[Feature]]:
    for module in iter_modules(__path__):
        loaded = import_module(f"{__name__}.{module.name}")
        for kind in vars(loaded).values():
            if isinstance(kind, type) and kind.__module__ == loaded.__name__ and hasattr(kind, "expression"):
                yield kind
