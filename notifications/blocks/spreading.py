"""Spreading: a shared block that was published reaches every template that contains it, as their next revisions.

So each revision of a template stays whole, and a decision that names one is rendered as it was decided.
"""

from collections.abc import Mapping

import msgspec

from mesh import Mesh
from mesh.errors import Conflict, DeclarationError
from notifications.blocks.block import SHARED, is_blocks_file
from notifications.blocks.sharing import BRAND_NAME, with_shared
from notifications.documents.document import Document
from notifications.documents.drafts import open_drafts, read_draft, save_draft
from notifications.documents.kind import Kind
from notifications.documents.publishing import publish

AGAIN = 3
"""How often a template is tried that somebody publishes at the same moment."""


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a template: its new revision, or what is wrong; neither where its draft alone was changed."""

    template: str
    revision: int | None = None
    wrong: str = ""


def contains(files: Mapping[str, str], name: str) -> bool:
    """Whether a template contains a shared block. The brand is in every one that has blocks."""
    if name == BRAND_NAME:
        return any(is_blocks_file(file) for file in files)
    return any(file.startswith(f"{SHARED}{name}/") for file in files)


def is_behind(files: Mapping[str, str], block: Document) -> bool:
    """Whether a template contains another state of a shared block."""
    return contains(files, block.name) and with_shared(files, {block.name: block.files}) != dict(files)


async def spread(templates: Kind, block: Document, author: str, mesh: Mesh) -> list[Spread]:
    """Publish every template again that contains the block, and change their drafts. One that fails stays as it is."""
    in_force = {name: found async for name, found in mesh.state(templates.bucket).items()}
    done = [
        await _publish(templates, name, block, author, mesh)
        for name, found in sorted(in_force.items())
        if is_behind(found.files, block)
    ]
    made = {one.template: one.revision for one in done}
    for name, draft in sorted((await open_drafts(templates, mesh)).items()):
        if is_behind(draft.files, block):
            done.append(await _save(templates, name, block, author, mesh, made=made.get(name)))
    return done


async def _publish(templates: Kind, name: str, block: Document, author: str, mesh: Mesh) -> Spread:
    why = ""
    for _ in range(AGAIN):
        current = await mesh.state(templates.bucket).get(name)
        if current is None or not is_behind(current.files, block):
            return Spread(template=name)
        files = with_shared(current.files, {block.name: block.files})
        try:
            made = await publish(templates, name, files, author, mesh, expected=current.revision)
        except Conflict as error:
            why = str(error)
            continue
        except DeclarationError as error:
            return Spread(template=name, wrong=str(error))
        return Spread(template=name, revision=made.revision)
    return Spread(template=name, wrong=why)


async def _save(templates: Kind, name: str, block: Document, author: str, mesh: Mesh, *, made: int | None) -> Spread:
    """Change a draft. One that was begun on the revision before `made`, which was published just now, follows that."""
    why = ""
    for _ in range(AGAIN):
        draft, version = await read_draft(templates, name, mesh)
        if draft is None:
            return Spread(template=name)
        follows = made is not None and draft.based_on == made - 1
        files = with_shared(draft.files, {block.name: block.files})
        try:
            await save_draft(templates, name, files, author, mesh, version=version, begin=follows, follows=True)
        except Conflict as error:
            why = str(error)
            continue
        except DeclarationError as error:
            return Spread(template=name, wrong=f"its draft: {error}")
        return Spread(template=name)
    return Spread(template=name, wrong=f"its draft: {why}")
