"""Commands for drafts: draft, publish-draft, discard-draft and status, of `cartmesh journeys | templates`."""

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cyclopts

from notifications.documents.region import HERE, Where, run_in

if TYPE_CHECKING:
    from mesh import Mesh
    from notifications.documents.kind import Kind


def add_draft_commands(app: cyclopts.App, kind: Callable[[], "Kind"]) -> None:
    """Add them to the commands of a kind of documents; `kind` loads it."""

    @app.command
    def draft(path: Path, *, name: str = "", author: str = "", begin: bool = False, where: Where = HERE) -> None:
        """Save a file (a template: its folder) as a draft, which is not in force.

        Parameters
        ----------
        path
            The document.
        name
            The document's name; by default that of the file or folder.
        author
            Who saves it; by default who is logged in.
        begin
            Base the draft on the revision in force, though it was begun on an earlier one.
        where
            The region.
        """
        from notifications.documents.drafts import save_draft  # noqa: PLC0415  loaded only when it is asked for

        own, files = kind().read(path)
        chosen = name or own
        run_in(where, lambda mesh: save_draft(kind(), chosen, files, author or getpass.getuser(), mesh, begin=begin))
        print(f"{chosen}: draft saved; `cartmesh {kind().plural} publish-draft {chosen}` puts it in force")

    @app.command
    def publish_draft(name: str, *, author: str = "", keep_runs: bool = False, where: Where = HERE) -> None:
        """Publish a draft as the next revision; with --keep-runs a journey's runs under way keep the one they have."""
        from notifications.documents import drafts  # noqa: PLC0415  loaded only when it is asked for

        by = author or getpass.getuser()
        made = run_in(where, lambda mesh: drafts.publish_draft(kind(), name, by, mesh, keep_runs=keep_runs))
        print(f"{made.name}: revision {made.revision} is in force in {made.region}")

    @app.command
    def discard_draft(name: str, *, where: Where = HERE) -> None:
        """End a draft without publishing it."""
        from notifications.documents import drafts  # noqa: PLC0415  loaded only when it is asked for

        run_in(where, lambda mesh: drafts.discard_draft(kind(), name, mesh))
        print(f"{name}: its draft is discarded")

    @app.command
    def status(name: str, *, where: Where = HERE) -> None:
        """Print the revision in force of a document, its draft, and what the draft would change."""
        print(run_in(where, lambda mesh: _status(kind(), name, mesh)), end="")


async def _status(kind: "Kind", name: str, mesh: "Mesh") -> str:
    from notifications.documents.document import difference  # noqa: PLC0415  loaded only when it is asked for
    from notifications.documents.drafts import read_draft  # noqa: PLC0415
    from notifications.documents.publishing import names_of  # noqa: PLC0415

    current = await mesh.state(kind.bucket).get(name)
    draft, _ = await read_draft(kind, name, mesh)
    if current is None and draft is None:
        raise kind.unknown(name, await names_of(kind, mesh))
    lines = ["nothing is in force\n"]
    if current is not None:
        lines = [
            f"revision {current.revision} is in force, by {current.author} at {current.time:%Y-%m-%d %H:%M:%S} UTC\n"
        ]
    if draft is None:
        return "".join([*lines, "no draft\n"])
    begun = "nothing" if draft.based_on is None else f"revision {draft.based_on}"
    lines.append(f"draft by {draft.author} at {draft.time:%Y-%m-%d %H:%M:%S} UTC, begun on {begun}\n")
    return "".join([*lines, difference(current.files if current else {}, draft.files)])
