"""Commands for documents: `cartmesh journeys | templates` list, show, compare, publish, revert and edit drafts."""

import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cyclopts

from notifications.documents.draft_commands import add_draft_commands
from notifications.documents.region import HERE, Where, run_in

if TYPE_CHECKING:
    from mesh import Mesh
    from notifications.documents.document import Document
    from notifications.documents.kind import Kind


def journey_kind() -> "Kind":
    """Journeys."""
    from notifications.journeys.kind import JOURNEYS  # noqa: PLC0415  loaded only when it is asked for

    return JOURNEYS


def template_kind() -> "Kind":
    """Templates."""
    from notifications.templates.kind import TEMPLATES  # noqa: PLC0415  loaded only when it is asked for

    return TEMPLATES


def group(name: str, help: str, kind: Callable[[], "Kind"]) -> cyclopts.App:
    """The commands of one kind of documents; `kind` loads it."""
    app = cyclopts.App(name=name, help=help)
    for add in (_add_reading, _add_publishing, add_draft_commands):
        add(app, kind)
    return app


def _add_reading(app: cyclopts.App, kind: Callable[[], "Kind"]) -> None:
    @app.command(name="list")
    def list_(*, where: Where = HERE) -> None:
        """List those in force, which have a draft, and which differ from the files that they were seeded from."""
        from notifications.documents.seeding import differing  # noqa: PLC0415

        found, drafts = run_in(where, lambda mesh: _present(kind(), mesh))
        folder = os.environ.get(f"CARTMESH_{kind().plural.upper()}", "")
        others = differing(kind().read_folder(folder), found)
        for name, document in sorted(found.items()):
            note = f"; its files in {folder or 'Cartmesh'} differ, and are not used" if name in others else ""
            print(f"{name:<32} revision {document.revision:<4} {_origin(document)}{drafts.get(name, '')}{note}")

    @app.command
    def show(name: str, *, revision: int | None = None, where: Where = HERE) -> None:
        """Print a document: the one in force, or a revision of it."""
        files = run_in(where, lambda mesh: _chosen(kind(), name, revision, mesh)).files
        for file, text in files.items():
            heading = f"==> {file} <==\n" if len(files) > 1 else ""
            print(f"{heading}{text}", end="" if text.endswith("\n") else "\n")

    @app.command
    def history(name: str, *, where: Where = HERE) -> None:
        """List a document's revisions, newest first, with who published them and which is in force."""
        from notifications.documents.publishing import versions  # noqa: PLC0415

        found = run_in(where, lambda mesh: versions(kind(), name, mesh))
        if not found:
            run_in(where, lambda mesh: _chosen(kind(), name, None, mesh))
        for version in found:
            print(f"revision {version.document.revision:<4} {_origin(version.document)}  {version.state}")

    @app.command
    def diff(name: str, before: int, after: int | None = None, *, where: Where = HERE) -> None:
        """Print what changed between two revisions, by default up to the one in force."""
        from notifications.documents.document import difference  # noqa: PLC0415

        async def both(mesh: "Mesh") -> "tuple[Document, Document]":
            return await _chosen(kind(), name, before, mesh), await _chosen(kind(), name, after, mesh)

        old, new = run_in(where, both)
        print(difference(old.files, new.files) or "no difference\n", end="")


def _add_publishing(app: cyclopts.App, kind: Callable[[], "Kind"]) -> None:
    @app.command
    def publish(path: Path, *, name: str = "", author: str = "", keep_runs: bool = False, where: Where = HERE) -> None:
        """Publish a file (a template: its folder) as the next revision, in force in all regions from then on.

        Parameters
        ----------
        path
            The document.
        name
            The document's name; by default that of the file or folder.
        author
            Who publishes; by default who is logged in.
        keep_runs
            Whether a journey's runs under way keep the revision that they have, and do not go on with this one.
        where
            The region.
        """
        from notifications.documents import publishing  # noqa: PLC0415

        own, files = kind().read(path)
        by = author or getpass.getuser()
        made = run_in(where, lambda mesh: publishing.publish(kind(), name or own, files, by, mesh, keep_runs=keep_runs))
        _published(made)

    @app.command
    def revert(name: str, revision: int, *, author: str = "", where: Where = HERE) -> None:
        """Publish an earlier revision again, as the next one."""
        from notifications.documents import publishing  # noqa: PLC0415

        made = run_in(where, lambda mesh: publishing.revert(kind(), name, revision, author or getpass.getuser(), mesh))
        _published(made)


async def _in_force(kind: "Kind", mesh: "Mesh") -> "dict[str, Document]":
    return {name: document async for name, document in mesh.state(kind.bucket).items()}


async def _present(kind: "Kind", mesh: "Mesh") -> "tuple[dict[str, Document], dict[str, str]]":
    """What is in force by name, and a note for each that has a draft."""
    from notifications.documents.drafts import open_drafts  # noqa: PLC0415

    drafts = await open_drafts(kind, mesh)
    return await _in_force(kind, mesh), {name: f"; draft by {draft.author}" for name, draft in drafts.items()}


async def _chosen(kind: "Kind", name: str, revision: int | None, mesh: "Mesh") -> "Document":
    from notifications.documents.publishing import find_revision, no_revision  # noqa: PLC0415

    found = await _in_force(kind, mesh)
    if name not in found:
        raise kind.unknown(name, list(found))
    chosen = found[name] if revision is None else await find_revision(kind, name, revision, mesh)
    if chosen is None:
        raise await no_revision(kind, name, revision or 0, mesh)
    return chosen


def _published(document: "Document") -> None:
    print(f"{document.name}: revision {document.revision} is in force in {document.region}")


def _origin(document: "Document") -> str:
    return f"{document.time:%Y-%m-%d %H:%M:%S} UTC by {document.author} in {document.region}"


journeys = group("journeys", "How left carts are answered: the journeys in force, and their revisions.", journey_kind)
templates = group("templates", "What offers look like: the templates in force, and their revisions.", template_kind)
