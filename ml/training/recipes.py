"""The registry of training recipes: per model, how its rows are read from the log and how it is fitted.

A new model is one more entry in `RECIPES`. Scikit-learn and polars are imported when a recipe is used, because
every process that trains nothing imports this module too.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mesh import Mesh
from mesh.errors import DeclarationError
from ml.training.result import FittedModel, TrainingRequest


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained: `read` gathers rows from the regions' logs, `fit` makes a model of them."""

    read: Callable[[Sequence[Mesh]], Awaitable[Any]]
    fit: Callable[[Any, TrainingRequest], FittedModel]


def recipe(name: str) -> Recipe:
    """The recipe of a model; DeclarationError lists those there are."""
    try:
        return RECIPES[name]
    except KeyError:
        raise DeclarationError(f"no model is called {name!r}; there are {', '.join(RECIPES)}") from None


async def _read_propensity(meshes: Sequence[Mesh]) -> Any:
    import polars as pl  # noqa: PLC0415  saves start-up time

    from ml.training.dataset import from_mesh  # noqa: PLC0415  saves start-up time

    return pl.concat([await from_mesh(mesh) for mesh in meshes]).sort("visitor", "at", maintain_order=True)


def _fit_propensity(steps: Any, order: TrainingRequest) -> FittedModel:
    from ml.training.propensity import fit  # noqa: PLC0415  saves start-up time

    return fit(steps, order)


async def _read_uplift(meshes: Sequence[Mesh]) -> Any:
    import polars as pl  # noqa: PLC0415  saves start-up time

    from ml.training.offer_assignments import training_rows  # noqa: PLC0415  saves start-up time

    return pl.concat([await training_rows(mesh) for mesh in meshes]).sort("at", "visitor", maintain_order=True)


def _fit_uplift(rows: Any, order: TrainingRequest) -> FittedModel:
    from ml.training.uplift import fit  # noqa: PLC0415  saves start-up time

    return fit(rows, order)


async def _read_recommendations(meshes: Sequence[Mesh]) -> Any:
    from ml.training.recommendation_weights import training_rows  # noqa: PLC0415  saves start-up time

    return await training_rows(meshes)


def _fit_recommendations(rows: Any, order: TrainingRequest) -> FittedModel:
    from ml.training.recommendation_weights import fit  # noqa: PLC0415  saves start-up time

    return fit(rows, order)


async def _read_fraud(meshes: Sequence[Mesh]) -> Any:
    from ml.training.fraud import training_rows  # noqa: PLC0415  saves start-up time

    return await training_rows(meshes)


def _fit_fraud(rows: Any, order: TrainingRequest) -> FittedModel:
    from ml.training.fraud import fit  # noqa: PLC0415  saves start-up time

    return fit(rows, order)


RECIPES = {
    "propensity": Recipe(read=_read_propensity, fit=_fit_propensity),
    "uplift": Recipe(read=_read_uplift, fit=_fit_uplift),
    "recommendations": Recipe(read=_read_recommendations, fit=_fit_recommendations),
    "fraud": Recipe(read=_read_fraud, fit=_fit_fraud),
}
