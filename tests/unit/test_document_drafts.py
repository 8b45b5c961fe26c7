"""Drafts: saved as often as one likes, in force only when published, and nobody's edit is overwritten unseen."""

import pytest

from mesh.errors import DeclarationError
from notifications.documents.drafts import Superseded, discard_draft, open_drafts, publish_draft, read_draft, save_draft
from notifications.documents.publishing import publish, revert, versions
from notifications.journeys.kind import JOURNEYS, files_of


def journey(cap):
    return files_of(f'template = "abandoned-cart"\ncap = {cap}\n')


async def _caps(mesh):
    return [one.document.files for one in await versions(JOURNEYS, "sale", mesh)]


async def test_a_draft_is_in_force_only_once_it_is_published(mesh):
    """Saved twice, published once: one more revision, with the last text; then there is no draft."""
    await publish(JOURNEYS, "sale", journey(1), "ada", mesh)
    await save_draft(JOURNEYS, "sale", journey(2), "ada", mesh)
    await save_draft(JOURNEYS, "sale", journey(3), "ada", mesh)
    before = await _caps(mesh)

    document = await publish_draft(JOURNEYS, "sale", "grace", mesh)

    assert before == [journey(1)]
    assert await _caps(mesh) == [journey(3), journey(1)]
    assert (document.revision, document.author) == (2, "grace")
    assert (await read_draft(JOURNEYS, "sale", mesh))[0] is None


async def test_a_draft_of_a_new_document_becomes_its_first_revision(mesh):
    """Nothing needs to be in force before."""
    await save_draft(JOURNEYS, "sale", journey(1), "ada", mesh)

    assert (await publish_draft(JOURNEYS, "sale", "ada", mesh)).revision == 1


async def test_of_two_editors_the_second_gets_a_conflict(mesh):
    """What the first one saved stays."""
    opened = await save_draft(JOURNEYS, "sale", journey(1), "ada", mesh)
    await save_draft(JOURNEYS, "sale", journey(2), "grace", mesh, version=opened)

    with pytest.raises(Superseded, match="saved by grace"):
        await save_draft(JOURNEYS, "sale", journey(3), "ada", mesh, version=opened)

    draft, _ = await read_draft(JOURNEYS, "sale", mesh)
    assert draft.files == journey(2)


async def test_a_draft_that_was_begun_on_an_earlier_revision_is_not_published(mesh):
    """Until it is saved again on the revision in force."""
    await publish(JOURNEYS, "sale", journey(1), "ada", mesh)
    await save_draft(JOURNEYS, "sale", journey(2), "ada", mesh)
    await publish(JOURNEYS, "sale", journey(3), "grace", mesh)

    with pytest.raises(Superseded, match="begun on revision 1, and revision 2 by grace is in force"):
        await publish_draft(JOURNEYS, "sale", "ada", mesh)
    await save_draft(JOURNEYS, "sale", journey(4), "ada", mesh, begin=True)
    document = await publish_draft(JOURNEYS, "sale", "ada", mesh)

    assert document.revision == 3
    assert await _caps(mesh) == [journey(4), journey(3), journey(1)]


async def test_a_wrong_document_is_no_draft(mesh):
    """The error says what is wrong, and what was saved before stays."""
    await save_draft(JOURNEYS, "sale", journey(1), "ada", mesh)

    with pytest.raises(DeclarationError, match="cap: 0 or more"):
        await save_draft(JOURNEYS, "sale", journey(-1), "ada", mesh)

    draft, _ = await read_draft(JOURNEYS, "sale", mesh)
    assert draft.files == journey(1)


async def test_a_discarded_draft_is_not_published(mesh):
    """It says how to save one."""
    await save_draft(JOURNEYS, "sale", journey(1), "ada", mesh)

    await discard_draft(JOURNEYS, "sale", mesh)

    with pytest.raises(DeclarationError, match="save one first"):
        await publish_draft(JOURNEYS, "sale", "ada", mesh)


async def test_nothing_is_published_over_a_revision_that_was_not_seen(mesh):
    """Whoever names the revision they know gets a conflict when another one is in force; nothing is published."""
    await publish(JOURNEYS, "sale", journey(1), "ada", mesh, expected=None)
    await publish(JOURNEYS, "sale", journey(2), "grace", mesh, expected=1)
    opened = await save_draft(JOURNEYS, "sale", journey(3), "ada", mesh)

    for expected in (None, 1):
        with pytest.raises(Superseded, match="revision 2 by grace of journey sale is in force"):
            await publish(JOURNEYS, "sale", journey(4), "ada", mesh, expected=expected)
        with pytest.raises(Superseded, match="revision 2 by grace"):
            await revert(JOURNEYS, "sale", 1, "ada", mesh, expected=expected)
        with pytest.raises(Superseded, match="revision 2 by grace"):
            await publish_draft(JOURNEYS, "sale", "ada", mesh, expected=expected)
    document = await publish_draft(JOURNEYS, "sale", "ada", mesh, version=opened, expected=2)

    assert document.revision == 3
    assert await _caps(mesh) == [journey(3), journey(2), journey(1)]


async def test_what_was_saved_since_is_neither_published_nor_discarded(mesh):
    """Somebody saved after the version that was looked at."""
    opened = await save_draft(JOURNEYS, "sale", journey(1), "ada", mesh)
    await save_draft(JOURNEYS, "sale", journey(2), "grace", mesh)

    with pytest.raises(Superseded, match="saved by grace"):
        await publish_draft(JOURNEYS, "sale", "ada", mesh, version=opened)
    with pytest.raises(Superseded, match="saved by grace"):
        await discard_draft(JOURNEYS, "sale", mesh, version=opened)

    assert {name: draft.files for name, draft in (await open_drafts(JOURNEYS, mesh)).items()} == {"sale": journey(2)}
