"""The registry: every version that is kept of a model, which one serves, and which is tried beside it.

One entry per model in the bucket `models-current` is the whole truth, changed by compare-and-set only: two
trainers or operators at once never half-change it. The model files are in the object store `models`; a file that
no entry names is nothing.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from mesh import Bucket, Mesh, ObjectStore
from mesh.errors import Conflict, MeshError
from mesh.events.model import ModelPromoted, ModelStaged, ModelTrained
from mesh.publish import Cause
from ml.lifecycle.version import Candidate, Current, Stage, Version

MODELS = ObjectStore("models")
CURRENT = Bucket("models-current", Current, history=20)
KEPT = 10
"""Versions of a model that are kept beside those that serve, served before or are tried."""
WRITER = "training"
"""The service whose events these are, also when an operator makes the change."""


class NoSuchVersion(MeshError, LookupError):
    """A version that the registry does not hold."""


class NotNow(MeshError):
    """A change that makes no sense as things stand; the message says how they stand."""


class Superseded(MeshError):
    """Somebody else changed the model meanwhile: look again, decide again."""


class Registry:
    """The models of one region. A version is two objects in the store: `<name>.<version>.skops` and `.json`."""

    def __init__(self, mesh: Mesh, *, keep: int = KEPT) -> None:
        self.mesh, self._keep = mesh, keep
        self._objects, self._current = mesh.objects(MODELS), mesh.state(CURRENT)

    # Looking

    async def current(self, name: str) -> Current | None:
        """How a model stands, or None where nothing of it is known."""
        return await self._current.get(name)

    async def entry(self, name: str) -> tuple[Current, int]:
        """How a model stands and the revision of that, for `seen=`."""
        current, revision = await self._current.entry(name)
        return current or Current(), revision

    async def names(self) -> list[str]:
        """All models that are known."""
        return sorted([name async for name, _ in self._current.items()])

    async def version(self, name: str, version: str) -> Version:
        """What is known of a version."""
        stored = await self._objects.get(f"{name}.{version}.json")
        if stored is None:
            raise await self._unknown(name, version)
        return msgspec.json.decode(stored, type=Version)

    async def serving(self, name: str) -> Version | None:
        """What is known of the version that serves; None where none does, or where it is gone from the store."""
        current = await self.current(name)
        if current is None or current.version is None:
            return None
        try:
            return await self.version(name, current.version)
        except NoSuchVersion:
            return None

    async def artifact(self, name: str, version: str) -> bytes:
        """A version's bytes, unchecked."""
        found = await self._objects.get(f"{name}.{version}.skops")
        if found is None:
            raise await self._unknown(name, version)
        return found

    async def versions(self, name: str) -> list[Version]:
        """All versions that are kept of a model, oldest first."""
        current, _ = await self.entry(name)
        kept = dict.fromkeys((*current.versions, *sorted(current.held)))
        found = [await self._objects.get(f"{name}.{version}.json") for version in kept]
        versions = [msgspec.json.decode(one, type=Version) for one in found if one is not None]
        return sorted(versions, key=lambda version: (version.trained_at, version.version))

    # Changing

    async def add(self, version: Version, artifact: bytes) -> None:
        """Register a version and throw away what is one too many. What serves does not change."""
        name = version.name
        await self._objects.put(f"{name}.{version.version}.skops", artifact)
        await self._objects.put(f"{name}.{version.version}.json", msgspec.json.encode(version))

        def with_version(current: Current | None) -> Current:
            before = current or Current()
            versions = tuple(dict.fromkeys((*before.versions, version.version)))
            loose = [one for one in versions if one not in before.held]
            dropped = loose[: max(0, len(loose) - self._keep)]
            return replace(before, versions=tuple(one for one in versions if one not in dropped))

        # Two versions that come at the same moment are both kept: the second is added to what the first left.
        made = await self._current.update(name, with_version)
        before = made.before.versions if made.before else ()
        dropped = [one for one in dict.fromkeys((*before, version.version)) if one not in made.after.versions]
        for one in dropped:
            await self._objects.delete(f"{name}.{one}.skops")
            await self._objects.delete(f"{name}.{one}.json")
        known = await self.mesh.last(ModelTrained, name)
        if known is not None and known.event.version == version.version:
            return  # by an earlier attempt
        trained = ModelTrained(
            model=name,
            version=version.version,
            accepted=version.accepted,
            reason=version.gate,
            trained_by=version.trained_by,
        )
        await self.mesh.publish(trained, cause=Cause(id=f"{name}.{version.version}", source=f"{WRITER}.add"))

    async def promote(
        self,
        name: str,
        version: str,
        reason: str,
        *,
        at: datetime | None = None,
        forced: bool = False,
        seen: int | None = None,
    ) -> Current:
        """Make a version the one that serves; it is tried no longer.

        NoSuchVersion unless it is kept; NotNow when it serves already; Superseded when the entry is no
        longer the one of revision `seen` (default: as it is now).
        """
        await self.version(name, version)

        def promoted(before: Current) -> Current:
            if version == before.version:
                raise NotNow(f"{version} serves {name} already")
            tried = before.candidate
            return replace(
                before,
                version=version,
                reason=reason,
                promoted_at=at or datetime.now(UTC),
                previous=before.version,
                candidate=None if tried and tried.version == version else tried,
            )

        _, after, revision = await self._change(name, version, promoted, seen)
        await self._publish(_promoted(name, after, revision, forced=forced), name, revision)
        return after

    async def stage(
        self,
        name: str,
        version: str,
        stage: Stage,
        reason: str,
        *,
        share: float = 0.0,
        at: datetime | None = None,
        seen: int | None = None,
    ) -> Current:
        """Try a version beside the one that serves, in the place of whichever was tried. Raises as `promote`."""
        if stage == "canary" and not 0 < share < 1:
            raise NotNow(f"a canary serves a share of carts between 0 and 1, not {share:g}")
        await self.version(name, version)
        share = share if stage == "canary" else 0.0

        def staged(before: Current) -> Current:
            if version == before.version:
                raise NotNow(f"{version} serves {name} already: it cannot be tried beside itself")
            if stage == "canary" and before.version is None:
                raise NotNow(f"nothing serves {name} yet, so a canary has nobody to share with: promote it, or shadow")
            tried = Candidate(version=version, stage=stage, share=share, since=at or datetime.now(UTC), reason=reason)
            return replace(before, candidate=tried)

        _, after, revision = await self._change(name, version, staged, seen)
        await self._publish(_staged(name, after, revision), name, revision)
        return after

    async def withdraw(self, name: str, reason: str, *, seen: int | None = None) -> str:
        """Try nothing any more; what was tried stays registered. Returns its version. NotNow, Superseded."""

        def withdrawn(before: Current) -> Current:
            if before.candidate is None:
                raise NotNow(f"no version of {name} is tried")
            return replace(before, candidate=None)

        before, _, revision = await self._change(name, None, withdrawn, seen)
        version = before.candidate.version if before.candidate else ""
        event = ModelStaged(model=name, version=version, stage="withdrawn", share=0.0, reason=reason, revision=revision)
        await self._publish(event, name, revision)
        return version

    async def roll_back(
        self, name: str, reason: str, *, at: datetime | None = None, seen: int | None = None
    ) -> Current:
        """Let the version serve again that did before. NotNow where none did; NoSuchVersion, Superseded."""
        current, revision = await self.entry(name)
        if current.previous is None:
            raise NotNow(f"nothing served {name} before {current.version or 'now'}: there is nothing to roll back to")
        return await self.promote(name, current.previous, reason, at=at, seen=revision if seen is None else seen)

    async def announce(self, name: str) -> None:
        """Say what serves and what is tried, where whoever changed it died before saying so."""
        current, revision = await self.entry(name)
        if current.version is not None:
            promoted = await self.mesh.last(ModelPromoted, name)
            if promoted is None or promoted.event.version != current.version:
                await self._publish(_promoted(name, current, revision), name, revision)
        if current.candidate is not None:
            staged = await self.mesh.last(ModelStaged, name)
            tried = (current.candidate.version, current.candidate.stage)
            if staged is None or (staged.event.version, staged.event.stage) != tried:
                await self._publish(_staged(name, current, revision), name, revision)

    # Inside

    async def _change(
        self, name: str, version: str | None, changed: Callable[[Current], Current], seen: int | None
    ) -> tuple[Current, Current, int]:
        before, revision = await self.entry(name)
        if seen is not None and seen != revision:
            raise _superseded(name, before)
        if version is not None and version not in before.held.union(before.versions):
            raise await self._unknown(name, version)
        after = changed(before)
        try:
            return before, after, await self._current.put(name, after, revision=revision)
        except Conflict:
            raise _superseded(name, (await self.entry(name))[0]) from None

    async def _publish(self, event: ModelPromoted | ModelStaged, name: str, revision: int) -> None:
        await self.mesh.publish(event, cause=Cause(id=f"{name}.{revision}", source=f"{WRITER}.registry"))

    async def _unknown(self, name: str, version: str) -> NoSuchVersion:
        current = await self.current(name)
        if current is None:
            known = ", ".join(await self.names()) or "none"
            return NoSuchVersion(f"nothing is known of a model {name!r}; models: {known}. `cartmesh train` makes one")
        there = ", ".join(dict.fromkeys((*current.versions, *sorted(current.held)))) or "none"
        return NoSuchVersion(f"no version {version!r} of {name} is registered; there are {there}")


def _promoted(name: str, current: Current, revision: int, *, forced: bool = False) -> ModelPromoted:
    return ModelPromoted(
        model=name,
        version=current.version or "",
        reason=current.reason,
        replaced=current.previous,
        forced=forced,
        revision=revision,
    )


def _staged(name: str, current: Current, revision: int) -> ModelStaged:
    tried = current.candidate
    if tried is None:
        raise NotNow(f"no version of {name} is tried")
    return ModelStaged(
        model=name, version=tried.version, stage=tried.stage, share=tried.share, reason=tried.reason, revision=revision
    )


def _superseded(name: str, current: Current) -> Superseded:
    serving = f"{current.version} serves" if current.version else "nothing serves"
    tried = f", {current.candidate.version} is tried ({current.candidate.stage})" if current.candidate else ""
    return Superseded(f"somebody changed {name} meanwhile: {serving} now{tried}. Look again, then decide again")
