"""Models: every version that was registered, and the one that serves, changed without a restart."""

from datetime import datetime

import msgspec

from mesh import Bucket, Mesh, Service, Shelf
from mesh.events.model import ModelPromoted
from ml.version import Current, Version

MODELS = Shelf("models")


CURRENT = Bucket("models-current", Current, history=20)
service = Service("models", publishes=(ModelPromoted,), buckets=(CURRENT,), shelves=(MODELS,))


class NoSuchVersion(LookupError):
    """A version that the shelf does not hold."""


class Registry:
    """The shelf of models of one region. A version is two objects: `<name>.<version>.skops` and `.json`."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh, self._objects, self._current = mesh, mesh.objects(MODELS), mesh.state(CURRENT)

    async def add(self, version: Version, artifact: bytes) -> None:
        """Put a version on the shelf. What serves does not change."""
        await self._objects.put(f"{version.name}.{version.version}.skops", artifact)
        await self._objects.put(f"{version.name}.{version.version}.json", msgspec.json.encode(version))

    async def promote(self, name: str, version: str, reason: str, *, at: datetime) -> None:
        """Make a version the one that serves. NoSuchVersion unless it is on the shelf."""
        await self.version(name, version)
        await self._current.put(name, Current(version=version, reason=reason, promoted_at=at))
        await self._mesh.publish(ModelPromoted(model=name, version=version, reason=reason))

    async def current(self, name: str) -> Current | None:
        """Which version serves, or None."""
        return await self._current.get(name)

    async def version(self, name: str, version: str) -> Version:
        """What is known of a version."""
        told = await self._objects.get(f"{name}.{version}.json")
        if told is None:
            raise NoSuchVersion(f"no version {version!r} of {name!r} is on the shelf")
        return msgspec.json.decode(told, type=Version)

    async def artifact(self, name: str, version: str) -> bytes:
        """A version's bytes, unchecked."""
        found = await self._objects.get(f"{name}.{version}.skops")
        if found is None:
            raise NoSuchVersion(f"the model file of {name} {version!r} is not on the shelf")
        return found

    async def versions(self, name: str) -> list[Version]:
        """All versions of a model, oldest first."""
        mine = [one for one in await self._objects.names() if one.startswith(f"{name}.") and one.endswith(".json")]
        found = [await self._objects.get(one) for one in mine]
        told = [msgspec.json.decode(one, type=Version) for one in found if one is not None]
        return sorted(told, key=lambda version: version.trained_at)
