"""Publishing: which revision of each document is in force, how one is published, and every earlier one.

Published revisions are events, so they reach every region and stay in the log. A kind's bucket holds those in force in
this region. Of two revisions with one number, published on both sides of a cut, the later one is in force everywhere
(then the one of the region whose name sorts last); the other stays in the history.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from mesh import Mesh, Received
from mesh.errors import Conflict
from mesh.events.journey import JourneyPublished
from mesh.history import Unchanged
from mesh.publish import Change, Draft
from mesh.streams import mesh_stream
from notifications.documents.document import Document, Superseded, UnknownDocument, Version
from notifications.documents.kind import Files, Kind, Published

Expected = int | None | msgspec.UnsetType
"""The revision that whoever publishes believes to be in force; None: none is; UNSET: they do not say."""


async def names_of(kind: Kind, mesh: Mesh) -> list[str]:
    """The names of all documents that are in force here."""
    return [name async for name, _ in mesh.state(kind.bucket).items()]


async def publish(
    kind: Kind,
    name: str,
    files: Files,
    author: str,
    mesh: Mesh,
    *,
    expected: Expected = msgspec.UNSET,
    keep_runs: bool = False,
) -> Document:
    """Publish a document and put it in force in this region; the others follow when the event reaches them.

    With `keep_runs` a journey's runs under way keep the revision that they have; otherwise they move over.
    Raises DeclarationError for a document that is wrong, Superseded where another revision than the `expected` one is
    in force, Conflict where somebody publishes this one at the same moment.
    """
    await kind.validate(name, files, mesh)
    current, _ = await mesh.state(kind.bucket).entry(name)
    expect(kind, name, current, expected)
    return await store(kind, name, files, author, mesh, current=current, keep_runs=keep_runs)


def expect(kind: Kind, name: str, current: Document | None, expected: Expected) -> None:
    """Raise Superseded where another revision is in force than the expected one."""
    if expected is msgspec.UNSET or (current.revision if current else None) == expected:
        return
    there = f"revision {current.revision} by {current.author}" if current else "no revision"
    known = "none" if expected is None else f"revision {expected}"
    raise Superseded(f"{there} of {kind.name} {name} is in force, not {known}: look at it, then do it again")


async def store(
    kind: Kind,
    name: str,
    files: Files,
    author: str,
    mesh: Mesh,
    *,
    current: Document | None,
    keep_runs: bool = False,
) -> Document:
    """Publish a document that is valid, as the revision after `current`. Raises Conflict where that is not in force."""
    last = await mesh.last(kind.published, name)
    if last is not None and (current is None or last.event.revision > current.revision):
        raise Conflict(f"revision {last.event.revision} of {kind.name} {name} was published meanwhile")
    changes: list[Change] = [Unchanged(kind.published, name, last.sequence if last else 0)]
    if current is not None and current.revision == 0 and last is None:
        changes.append(_seed_event(kind, current))
    now, revision = datetime.now(UTC), current.revision + 1 if current else 1
    replaces = current.revision if current else None
    event = kind.published(
        name=name,
        revision=revision,
        author=author,
        files=dict(files),
        replaces=replaces,
        replaces_region=current.region if current else None,
    )
    runs_from = None
    if keep_runs and current is not None and isinstance(event, JourneyPublished):
        runs_from = current.revision if current.runs_from is None else current.runs_from
        event = msgspec.structs.replace(event, runs_from=runs_from)
    changes.append(Draft(event=event, time=now))
    await mesh.publish(*changes)
    document = Document(
        name=name,
        revision=revision,
        author=author,
        time=now,
        region=mesh.region,
        files=dict(files),
        runs_from=runs_from,
    )
    await put_in_force(kind, document, mesh)
    return document


async def revert(
    kind: Kind,
    name: str,
    revision: int,
    author: str,
    mesh: Mesh,
    *,
    expected: Expected = msgspec.UNSET,
    region: str = "",
) -> Document:
    """Publish an earlier revision's texts again, as a new revision. UnknownDocument where there is none.

    Of two with one number that of `region`, by default the one that is, or was, in force everywhere. Raises besides
    what `publish` raises.
    """
    found = await find_revision(kind, name, revision, mesh, region=region)
    if found is None:
        raise await no_revision(kind, name, revision, mesh)
    return await publish(kind, name, found.files, author, mesh, expected=expected)


async def no_revision(kind: Kind, name: str, revision: int, mesh: Mesh) -> UnknownDocument:
    """The error for a revision that there is not; it names those that there are."""
    known = [str(version.document.revision) for version in await versions(kind, name, mesh)]
    if not known:
        return kind.unknown(name, await names_of(kind, mesh))
    return UnknownDocument(f"{kind.name} {name} has no revision {revision}; it has {', '.join(known)}")


async def find_revision(kind: Kind, name: str, revision: int, mesh: Mesh, *, region: str = "") -> Document | None:
    """A revision as it was published; of two with one number the one that is, or was, in force everywhere.

    With a `region` the one that was published there.
    """
    current, _ = await mesh.state(kind.bucket).entry(name)
    if current is not None and current.revision == revision and region in ("", current.region):
        return current
    known = [one.document for one in await versions(kind, name, mesh)]
    found = [one for one in known if one.revision == revision and region in ("", one.region)]
    return max(found, key=lambda one: one.order, default=None)


async def versions(kind: Kind, name: str, mesh: Mesh) -> list[Version]:
    """Every revision that is known here, newest first. Empty where there is no such document."""
    current, _ = await mesh.state(kind.bucket).entry(name)
    found = {} if current is None else {(current.region, current.revision): current}
    async for document in _published(kind, name, mesh):
        found.setdefault((document.region, document.revision), document)
    if (mesh.region, 0) in found:  # every region has a seed of its own
        found = {key: one for key, one in found.items() if one.revision or one.region == mesh.region}
    ordered = sorted(found.values(), key=lambda one: one.order, reverse=True)
    newest: dict[int, Document] = {}
    for document in ordered:
        newest.setdefault(document.revision, document)
    return [Version(document=one, state=_state(one, current, newest[one.revision])) for one in ordered]


async def _published(kind: Kind, name: str, mesh: Mesh) -> AsyncIterator[Document]:
    for stream in (None, mesh_stream(mesh.region)) if mesh.others else (None,):
        async for received in mesh.read(kind.published, stream=stream):
            if received.event.name == name:
                yield document_of(received)


def _state(document: Document, current: Document | None, newest: Document) -> str:
    if document == current:
        return "in force"
    if document != newest and document.revision:  # seeds do not compete
        return f"lost to the concurrent revision of {newest.region}"
    return "replaced" if current is not None and current.is_newer_than(document) else "not yet in force"


async def put_in_force(kind: Kind, document: Document, mesh: Mesh) -> None:
    """Put a published revision in force here, unless a newer one is."""
    if not document.revision and document.region != mesh.region:
        return  # every region has seeds of its own
    state = mesh.state(kind.bucket)
    present = await state.get(document.name)
    if present is not None and not present.revision and document.region != mesh.region:
        await _keep_seed(kind, present, mesh)
    await state.update(
        document.name, lambda found: document if found is None or document.is_newer_than(found) else found
    )


async def _keep_seed(kind: Kind, seed: Document, mesh: Mesh) -> None:
    """Store this region's seed as an event before another region's revision replaces it: decisions may name it."""
    if await mesh.last(kind.published, seed.name) is None:
        with suppress(Conflict):  # another process stored it
            await mesh.publish(Unchanged(kind.published, seed.name, 0), _seed_event(kind, seed))


def _seed_event(kind: Kind, seed: Document) -> Draft:
    event = kind.published(name=seed.name, revision=0, author=seed.author, files=seed.files)
    return Draft(event=event, time=seed.time)


def document_of(received: Received[Published]) -> Document:
    """What an event published."""
    event = received.event
    return Document(
        name=event.name,
        revision=event.revision,
        author=event.author,
        time=received.time,
        region=received.region,
        files=event.files,
        runs_from=getattr(event, "runs_from", None),
    )
