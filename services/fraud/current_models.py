"""Current models: the fraud model that serves and the one that is tried, as the bucket has them."""

import asyncio
from datetime import timedelta

from mesh import Mesh
from mesh.errors import MeshError
from mesh.events.fraud import FraudModelScore
from mesh.fraud_model import FRAUD_MODELS, FraudModel
from mesh.observability.logs import log
from services.fraud.model import Trees


class CurrentModels:
    """What one process knows of the models. There is none until one was trained."""

    def __init__(self, mesh: Mesh) -> None:
        self._state = mesh.state(FRAUD_MODELS)
        self._filled = False
        self._models: dict[str, Trees] = {}

    async def follow(self) -> None:
        """Keep the models as the bucket has them, until cancelled. Losing the servers pauses it."""
        while True:
            try:
                async with self._state.watch() as entries:
                    async for entry in entries:
                        if entry is None:
                            self._filled = True
                        else:
                            self._apply(*entry)
            except MeshError as error:
                log.warning("fraud models are not followed", error=str(error))
            await asyncio.sleep(timedelta(seconds=1).total_seconds())

    def unready(self) -> str | None:
        """Why nothing can be judged yet."""
        return None if self._filled else "the fraud models are still being read"

    def scores(self, features: dict[str, float]) -> tuple[FraudModelScore | None, FraudModelScore | None]:
        """What the model that serves, and the one that is tried, make of an order; None for none."""
        serving, candidate = (self._models.get(role) for role in ("serving", "candidate"))
        return serving and serving.score(features), candidate and candidate.score(features)

    def _apply(self, role: str, document: FraudModel | None) -> None:
        """Score by a document from now on. One that makes no model leaves what was there."""
        if document is None:
            self._models.pop(role, None)
            return
        try:
            self._models[role] = Trees(document)
        except ValueError as error:
            log.error("a fraud model is refused", role=role, version=document.version, error=str(error))
        else:
            log.info("fraud model", role=role, version=document.version)
