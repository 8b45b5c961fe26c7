"""Serving models: the champions that a scoring process serves and the candidates it tries, exchanged while it runs.

The registry's entries are followed. A version is read by a child process and takes its place in one assignment;
one that is refused takes no place: what served goes on serving, and the reason is published.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import Gauge

from mesh import Mesh, MeshError
from mesh.errors import Unavailable
from mesh.events.model import ModelRefused
from mesh.observability.logs import log
from mesh.publish import Cause
from ml.lifecycle.registry import CURRENT, NoSuchVersion, Registry
from ml.lifecycle.version import Candidate, Current, takes_part
from ml.scoring.base_rates import BASE_RATE

SERVES = Gauge("cartmesh_model_serving", "The version of a model that serves in this process: 1.", ["model", "version"])
Loader = Callable[[bytes], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A version with the model that was read from its file."""

    version: str
    model: Any


@dataclass(frozen=True, kw_only=True)
class CandidateModel:
    """A candidate with its model."""

    candidate: Candidate
    loaded: LoadedModel

    def serves(self, key: str) -> bool:
        """Whether a canary serves the cart of this key; a shadow serves none."""
        return self.candidate.stage == "canary" and takes_part(key, self.candidate.share)


class ServingModels:
    """Who serves (`champion`) and who is tried, by the model's name; a name without either is absent."""

    def __init__(self, mesh: Mesh, loaders: Mapping[str, Loader]) -> None:
        self._mesh, self._loaders = mesh, loaders
        self._champions: dict[str, LoadedModel] = {}
        self._tried: dict[str, CandidateModel] = {}
        self._refused: set[tuple[str, str]] = set()
        self.caught_up = asyncio.Event()
        """Set once every model that the registry named at the start is in its place."""

    def champion(self, name: str) -> LoadedModel | None:
        """Who serves."""
        return self._champions.get(name)

    def tried(self, name: str) -> CandidateModel | None:
        """Who is tried beside them."""
        return self._tried.get(name)

    def install(self, name: str, version: str, model: Any) -> None:
        """Serve a model that is in this process already, as benchmarks have it; the registry is not asked."""
        self._champions[name] = LoadedModel(version=version, model=model)

    async def follow(self) -> None:
        """Follow the registry's changes as they happen. Runs until cancelled."""
        while True:
            try:
                async with self._mesh.state(CURRENT).watch() as changes:
                    await self._take(changes)
            except MeshError as error:
                log.warning("cannot follow the models", error=str(error))
            except Exception as error:  # noqa: BLE001  whatever it is, what serves goes on, and is followed again
                log.exception("cannot follow the models", error=repr(error))
            await asyncio.sleep(2)

    async def _take(self, changes: AsyncIterator[tuple[str, Current | None] | None]) -> None:
        """Adopt what there is, side by side, and then every change in its turn."""
        present: dict[str, Current] | None = {}
        async for change in changes:
            if change is None:
                await asyncio.gather(*(self.adopt(name, current) for name, current in (present or {}).items()))
                present = None
                self.caught_up.set()
            elif change[1] is not None and change[0] in self._loaders:
                if present is None:
                    await self.adopt(change[0], change[1])
                else:
                    present[change[0]] = change[1]

    async def adopt(self, name: str, current: Current) -> None:
        """Take an entry of the registry. What is refused changes nothing; Unavailable: try again."""
        before, known = self._champions.get(name), self._loaded_models(name)
        tried = current.candidate
        champion, loaded = await asyncio.gather(
            self._load(name, current.version, known), self._load(name, tried.version if tried else None, known)
        )
        if champion is None and before is None:
            # A process that starts now serves what the others went on serving.
            champion = await self._load(name, current.previous, known)
        if champion is not None and champion is not before:
            self._champions[name] = champion
            if before is not None:
                SERVES.remove(name, before.version)
            SERVES.labels(name, champion.version).set(1)
            log.info("model serves", model=name, version=champion.version, reason=current.reason)
        if tried is not None and loaded is not None:
            self._tried[name] = CandidateModel(candidate=tried, loaded=loaded)
            log.info("model is tried", model=name, version=loaded.version, stage=tried.stage, share=tried.share)
        else:
            self._tried.pop(name, None)

    def _loaded_models(self, name: str) -> dict[str, LoadedModel]:
        tried = self._tried.get(name)
        both = (self._champions.get(name), tried.loaded if tried else None)
        return {one.version: one for one in both if one is not None}

    async def _load(self, name: str, version: str | None, known: dict[str, LoadedModel]) -> LoadedModel | None:
        if version is None:
            return None
        if version in known:
            return known[version]
        from ml.models.artifact import ArtifactRefused  # noqa: PLC0415  needs numpy; every process imports this module

        try:
            model = await self._loaders[name](await Registry(self._mesh).artifact(name, version))
        except (ArtifactRefused, NoSuchVersion) as error:
            await self._refuse(name, version, str(error))
            return None
        except OSError as error:
            raise Unavailable(f"{name} {version} cannot be read here just now: {error}") from error
        self._refused.discard((name, version))
        return LoadedModel(version=version, model=model)

    async def _refuse(self, name: str, version: str, reason: str) -> None:
        champion = self._champions.get(name)
        serving = champion.version if champion else BASE_RATE
        log.error("model refused", model=name, version=version, error=reason, serving=serving)
        if (name, version) in self._refused:
            return
        refused = ModelRefused(model=name, version=version, reason=reason, serving=serving)
        # Every replica refuses the same file: the same id, so that it is stored once.
        await self._mesh.publish(refused, cause=Cause(id=f"{name}.{version}.{reason}", source="scoring.models"))
        self._refused.add((name, version))
