"""Fraud documents: hands the fraud models that the registry names to the fraud check, as documents in a bucket."""

from mesh import Mesh
from mesh.fraud_model import FRAUD_MODELS, FraudModel, Role
from mesh.observability.logs import log
from ml.lifecycle.model_loaders import load_fraud
from ml.lifecycle.registry import NoSuchVersion, Registry

FRAUD = "fraud"


class FraudDocuments:
    """Keeps the bucket as the registry's entry is. What is refused changes nothing: what served goes on serving."""

    def __init__(self, mesh: Mesh) -> None:
        self._registry, self._documents = Registry(mesh), mesh.state(FRAUD_MODELS)
        self._seen = -1

    async def hand_over(self) -> None:
        """Store the versions that serve and are tried now, unless they are stored. Raises Unavailable."""
        current, revision = await self._registry.entry(FRAUD)
        if revision == self._seen:
            return
        tried = current.candidate.version if current.candidate else None
        await self._store("serving", current.version)
        await self._store("candidate", tried)
        self._seen = revision

    async def _store(self, role: Role, version: str | None) -> None:
        stored = await self._documents.get(role)
        if version is None:
            if stored is not None:
                await self._documents.delete(role)
        elif stored is None or stored.version != version:
            document = await self._document(version)
            if document is not None:
                await self._documents.put(role, document)

    async def _document(self, version: str) -> FraudModel | None:
        from ml.models.artifact import ArtifactRefused  # noqa: PLC0415  needs numpy; every process imports this module
        from ml.models.fraud import document  # noqa: PLC0415  the same

        try:
            known = await self._registry.version(FRAUD, version)
            model = await load_fraud(await self._registry.artifact(FRAUD, version))
        except (ArtifactRefused, NoSuchVersion) as error:
            log.error("model refused", model=FRAUD, version=version, error=str(error))
            return None
        return document(model, version=version, learnt_until=known.window[1])
