"""Journey documents: which revision of each journey is in force, how one is published, and every earlier one.

Published revisions are events, so they reach every region and stay in the log. The bucket holds the one in force in
this region. Of two revisions with one number, published on both sides of a cut, the later one is in force everywhere
(then the one of the region whose name sorts last); the other stays in the history.
"""

from datetime import UTC, datetime

import msgspec

from mesh import Bucket, Mesh, Received
from mesh.errors import Conflict, DeclarationError
from mesh.events.journey import JourneyPublished
from mesh.history import Unchanged
from mesh.publish import Change, Draft
from notifications.journeys import Journey, overrides_from_environment, parse, sources

SEED = "seed"
"""The author of revision 0, which comes from a file."""


class JourneyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One revision of a journey: its TOML text, who published it, when (aware UTC) and in which region."""

    journey: str
    revision: int
    author: str
    time: datetime
    region: str
    source: str

    def is_newer_than(self, other: "JourneyDocument") -> bool:
        """Whether this one is in force where both are known. The same in every region."""
        mine, theirs = (self.revision, self.time, self.region), (other.revision, other.time, other.region)
        return mine > theirs

    def content(self) -> Journey:
        """The journey as this process decides with it, the environment's overrides included. DeclarationError."""
        return parse(self.journey, self.source, overrides_from_environment())


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A revision in the history: `in_force`, replaced by a later one, or lost to a concurrent one."""

    document: JourneyDocument
    state: str


JOURNEYS = Bucket("journeys", JourneyDocument, history=64)


async def seed(folder: str, mesh: Mesh) -> None:
    """Put files of a folder into the bucket as revision 0, each once. DeclarationError for a wrong file.

    Once people have published anything, files add nothing: a new file of a new release starts no journey by itself.
    """
    texts = sources(folder)
    for name, source in texts.items():
        parse(name, source, overrides_from_environment())
    state = mesh.state(JOURNEYS)
    present = {name: document async for name, document in state.items()}
    if any(document.revision > 0 for document in present.values()):
        return
    for name, source in texts.items():
        if name not in present:
            document = JourneyDocument(
                journey=name, revision=0, author=SEED, time=datetime.now(UTC), region=mesh.region, source=source
            )
            try:
                await state.put(name, document, revision=0)
            except Conflict:
                continue  # another process was quicker


async def apply(received: Received[JourneyPublished], mesh: Mesh) -> None:
    """Put a published revision in force here, unless a newer one is."""
    await _apply(_document(received), mesh)


async def publish(name: str, source: str, author: str, mesh: Mesh) -> JourneyDocument:
    """Publish a document and put it in force in this region; the others follow when the event reaches them.

    Raises DeclarationError for a document that is wrong, Conflict where somebody published this journey meanwhile.
    """
    parse(name, source, {})
    current, _ = await mesh.state(JOURNEYS).entry(name)
    last = await mesh.last(JourneyPublished, name)
    now = datetime.now(UTC)
    changes: list[Change] = [Unchanged(JourneyPublished, name, last.sequence if last else 0)]
    if current is not None and current.revision == 0 and last is None:
        first = JourneyPublished(journey=name, revision=0, author=current.author, source=current.source)
        changes.append(Draft(event=first, time=current.time))
    revision = current.revision + 1 if current else 1
    replaces = current.revision if current else None
    event = JourneyPublished(journey=name, revision=revision, author=author, source=source, replaces=replaces)
    changes.append(Draft(event=event, time=now))
    await mesh.publish(*changes)
    document = JourneyDocument(
        journey=name, revision=revision, author=author, time=now, region=mesh.region, source=source
    )
    await _apply(document, mesh)
    return document


async def revert(name: str, revision: int, author: str, mesh: Mesh) -> JourneyDocument:
    """Publish an earlier revision's document again, as a new revision. DeclarationError where there is none."""
    for version in await versions(name, mesh):
        if version.document.revision == revision:
            return await publish(name, version.document.source, author, mesh)
    raise DeclarationError(f"journey {name} has no revision {revision}")


async def versions(name: str, mesh: Mesh) -> list[Version]:
    """Every revision that is known here, newest first. Empty where there is no such journey."""
    current, _ = await mesh.state(JOURNEYS).entry(name)
    found = {} if current is None else {(current.region, current.revision): current}
    streams = (None, f"MESH_{mesh.region}") if mesh.others else (None,)
    for stream in streams:
        async for received in mesh.read(JourneyPublished, stream=stream):
            if received.event.journey == name:
                found.setdefault((received.region, received.event.revision), _document(received))
    ordered = sorted(found.values(), key=lambda one: (one.revision, one.time, one.region), reverse=True)
    newest: dict[int, JourneyDocument] = {}
    for document in ordered:
        newest.setdefault(document.revision, document)
    return [Version(document=one, state=_state(one, current, newest[one.revision])) for one in ordered]


def _state(document: JourneyDocument, current: JourneyDocument | None, newest: JourneyDocument) -> str:
    if document == current:
        return "in force"
    if document != newest and document.revision:  # seeds do not compete
        return f"lost to the concurrent revision of {newest.region}"
    return "replaced" if current is not None and current.is_newer_than(document) else "not yet in force"


async def _apply(document: JourneyDocument, mesh: Mesh) -> None:
    def newer(present: JourneyDocument | None) -> JourneyDocument:
        return document if present is None or document.is_newer_than(present) else present

    if document.revision or document.region == mesh.region:  # every region has seeds of its own
        await mesh.state(JOURNEYS).update(document.journey, newer)


def _document(received: Received[JourneyPublished]) -> JourneyDocument:
    event = received.event
    return JourneyDocument(
        journey=event.journey,
        revision=event.revision,
        author=event.author,
        time=received.time,
        region=received.region,
        source=event.source,
    )
