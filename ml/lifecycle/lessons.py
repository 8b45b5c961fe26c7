"""Lessons: what each model is learnt from and how, by the model's name; who trains knows no more than this.

A new model is one more entry in `LESSONS`. What is heavy is imported by who learns.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from mesh import Mesh
from mesh.errors import DeclarationError
from ml.lifecycle.version import Metrics, Version


class Learnt(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a lesson: whether it may be tried or promoted, and why, in words.

    `against` is the version it was judged against, `running` what that was measured at on the same rows.
    `rows` were learnt from, of which `bought` ended in a purchase. Without enough to learn from, or
    nothing new, `version` and `artifact` are None.
    """

    accepted: bool
    reason: str
    rows: int
    bought: int
    against: str | None = None
    version: Version | None = None
    artifact: bytes | None = None
    running: Metrics | None = None


@dataclass(frozen=True, kw_only=True)
class Running:
    """The version that serves, as it stands on the shelf; `artifact` is None where the file is gone."""

    version: Version
    artifact: bytes | None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants a model, when, and what it shall be called (`called`: derived from time and data when None)."""

    by: str
    at: datetime
    called: str | None = None
    horizon: timedelta | None = None


class Fitted(Protocol):
    """A model that was fitted, or the reason why none was."""

    def judge(self, running: Running | None) -> Learnt:
        """The verdict of the gate against what serves."""
        ...


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """How a model is learnt: `read` gathers rows from the regions' logs, `fit` makes a model of them."""

    read: Callable[[Sequence[Mesh]], Awaitable[Any]]
    fit: Callable[[Any, Order], Fitted]


def lesson(name: str) -> Lesson:
    """The lesson of a model; DeclarationError lists those there are."""
    try:
        return LESSONS[name]
    except KeyError:
        raise DeclarationError(f"no model is called {name!r}; there are {', '.join(LESSONS)}") from None


async def _read_propensity(meshes: Sequence[Mesh]) -> Any:
    import polars as pl  # noqa: PLC0415

    from ml.dataset import from_mesh  # noqa: PLC0415

    return pl.concat([await from_mesh(mesh) for mesh in meshes]).sort("visitor", "at", maintain_order=True)


def _fit_propensity(steps: Any, order: Order) -> Fitted:
    from ml.training import fit  # noqa: PLC0415

    return fit(steps, order)


async def _read_uplift(meshes: Sequence[Mesh]) -> Any:
    import polars as pl  # noqa: PLC0415

    from ml.assignments import training_rows  # noqa: PLC0415

    return pl.concat([await training_rows(mesh) for mesh in meshes]).sort("at", "visitor", maintain_order=True)


def _fit_uplift(rows: Any, order: Order) -> Fitted:
    from ml.uplift import fit  # noqa: PLC0415

    return fit(rows, order)


async def _read_recommendations(meshes: Sequence[Mesh]) -> Any:
    from ml.weighing import training_rows  # noqa: PLC0415

    return await training_rows(meshes)


def _fit_recommendations(rows: Any, order: Order) -> Fitted:
    from ml.weighing import fit  # noqa: PLC0415

    return fit(rows, order)


LESSONS = {
    "propensity": Lesson(read=_read_propensity, fit=_fit_propensity),
    "uplift": Lesson(read=_read_uplift, fit=_fit_uplift),
    "recommendations": Lesson(read=_read_recommendations, fit=_fit_recommendations),
}
