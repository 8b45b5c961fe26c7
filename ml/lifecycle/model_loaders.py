"""Loaders: how the artifact of each model is loaded to be served, by the model's name; unpacked in a child process."""

import asyncio
from typing import Any


async def load_propensity(artifact: bytes) -> Any:
    """The `Model` in an artifact. ArtifactRefused, Unavailable."""
    from ml.features import names  # noqa: PLC0415  saves start-up time
    from ml.models.artifact import unpack_in_child_process  # noqa: PLC0415  needs numpy; every process imports this module
    from ml.models.propensity_serving import KIND, Model  # noqa: PLC0415  saves start-up time

    plain = await unpack_in_child_process(artifact, kind=KIND, features=names())
    return await asyncio.to_thread(Model.of, plain)


async def load_uplift(artifact: bytes) -> Any:
    """The `Adviser` in an artifact. ArtifactRefused, Unavailable."""
    from ml.features import names  # noqa: PLC0415  saves start-up time
    from ml.models.artifact import unpack_in_child_process  # noqa: PLC0415  saves start-up time
    from ml.models.offer_advice import KIND, Adviser  # noqa: PLC0415  saves start-up time

    return Adviser.of(await unpack_in_child_process(artifact, kind=KIND, features=names()))


async def load_recommendations(artifact: bytes) -> Any:
    """The `RankingModel` in an artifact. ArtifactRefused, Unavailable."""
    from ml.models.artifact import unpack_in_child_process  # noqa: PLC0415  saves start-up time
    from ml.models.blend import NAMES  # noqa: PLC0415  saves start-up time
    from ml.training.recommendation_weights import KIND, model_of  # noqa: PLC0415  saves start-up time

    return model_of(await unpack_in_child_process(artifact, kind=KIND, features=NAMES))


async def load_fraud(artifact: bytes) -> Any:
    """The `Model` in an artifact. ArtifactRefused, Unavailable."""
    from ml.models.artifact import unpack_in_child_process  # noqa: PLC0415  saves start-up time
    from ml.models.fraud import KIND  # noqa: PLC0415  saves start-up time
    from ml.models.propensity_serving import Model  # noqa: PLC0415  saves start-up time

    return await asyncio.to_thread(Model.of, await unpack_in_child_process(artifact, kind=KIND))


LOADERS = {"propensity": load_propensity, "uplift": load_uplift, "recommendations": load_recommendations}
"""Of the models that scoring serves; that of fraud is served by the fraud check (`ml.lifecycle.fraud_documents`)."""
