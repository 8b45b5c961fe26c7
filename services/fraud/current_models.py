"""Current models: the fraud model that serves and the one that is tried, as the bucket has them."""

from mesh import Mesh
from mesh.events.fraud import FraudModelScore
from mesh.fraud_model import FRAUD_MODELS, FraudModel
from mesh.observability.logs import log
from services.fraud.followed_bucket import FollowedBucket
from services.fraud.model import Trees


class CurrentModels(FollowedBucket[FraudModel]):
    """What one process knows of the models. There is none until one was trained."""

    def __init__(self, mesh: Mesh) -> None:
        super().__init__(mesh.state(FRAUD_MODELS), "fraud models")
        self._models: dict[str, Trees] = {}

    def scores(self, features: dict[str, float]) -> tuple[FraudModelScore | None, FraudModelScore | None]:
        """What the model that serves, and the one that is tried, make of an order; None for none."""
        serving, candidate = (self._models.get(role) for role in ("serving", "candidate"))
        return serving and serving.score(features), candidate and candidate.score(features)

    def _apply(self, key: str, document: FraudModel | None) -> None:
        """Score by a role's document from now on. One that makes no model leaves what was there."""
        if document is None:
            self._models.pop(key, None)
            return
        try:
            self._models[key] = Trees(document)
        except ValueError as error:
            log.error("a fraud model is refused", role=key, version=document.version, error=str(error))
        else:
            log.info("fraud model", role=key, version=document.version)
