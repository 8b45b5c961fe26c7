"""Seeding: files of a folder become revision 0 of an empty bucket; later they are compared with what is in force."""

from datetime import UTC, datetime

from mesh import Mesh
from mesh.errors import Conflict
from mesh.observability.logs import log
from notifications.documents.document import SEED, Document
from notifications.documents.kind import Kind


async def seed(kind: Kind, folder: str, mesh: Mesh) -> None:
    """Put the documents of a folder into the bucket as revision 0, each once. DeclarationError for a wrong file.

    Once people have published any of this kind, files add nothing: a new file of a new release starts no journey by
    itself. Logs a warning for each whose files differ from what is in force.
    """
    found = kind.read_folder(folder)
    for name, files in found.items():
        kind.check(name, files)
    state = mesh.state(kind.bucket)
    present = {name: document async for name, document in state.items()}
    for name in differing(found, present):
        log.warning(
            f"the files of a {kind.name} differ from its revision in force, which is used",
            document=name,
            revision=present[name].revision,
            author=present[name].author,
            remedy=f"publish the files, or make them equal: cartmesh {kind.plural} publish | diff",
        )
    if any(document.revision > 0 for document in present.values()):
        return
    for name, files in found.items():
        if name not in present:
            document = Document(
                name=name, revision=0, author=SEED, time=datetime.now(UTC), region=mesh.region, files=files
            )
            try:
                await state.put(name, document, revision=0)
            except Conflict:
                continue  # another process was quicker


def differing(folder: dict[str, dict[str, str]], present: dict[str, Document]) -> list[str]:
    """The names of documents in force whose files in the folder are others."""
    return sorted(name for name, files in folder.items() if name in present and present[name].files != files)
