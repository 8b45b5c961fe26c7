"""Reviews of drafts: whose change it is, whatever else happens to the draft, and which settings are refused."""

import pytest

from mesh import Mesh
from mesh.errors import DeclarationError
from notifications.documents.drafts import discard_draft, publish_draft, read_draft, restore_draft, save_draft
from notifications.documents.kind import Kind
from notifications.documents.reviewing import approve, ask_for_review, waiting_for_review
from notifications.documents.reviews import LONGEST_COMMENT, NotReviewed, kinds_reviewed, review_of
from notifications.journeys.kind import FILE, JOURNEYS
from notifications.templates.kind import TEMPLATES

TEXT = {FILE: 'template = "mail"\n'}


@pytest.fixture
async def mesh(regions):
    mesh = Mesh(regions.broker("us"), "studio")
    yield mesh
    await mesh.broker.drain()


async def publish(mesh, author):
    """Publish the draft where two people must have seen it."""
    return await publish_draft(JOURNEYS, "sale", author, mesh, needs_review=True)


async def test_who_restores_a_draft_or_moves_it_did_not_change_it(mesh):
    """Ada's text stays Ada's when Grace brings it back or puts it on what is in force."""
    await save_draft(JOURNEYS, "sale", TEXT, "ada", mesh)
    await discard_draft(JOURNEYS, "sale", mesh)
    _, closed = await read_draft(JOURNEYS, "sale", mesh)
    await restore_draft(JOURNEYS, "sale", "grace", mesh, version=closed)
    with pytest.raises(NotReviewed, match="you changed the draft of journey sale last"):
        await publish(mesh, "ada")
    await save_draft(JOURNEYS, "sale", TEXT, "grace", mesh, begin=True, follows=True)
    with pytest.raises(NotReviewed):
        await publish(mesh, "ada")

    assert (await publish(mesh, "grace")).revision == 1


async def test_a_review_ends_with_the_version_that_it_is_of(mesh):
    """It is neither shown nor waited for any more, and approves nothing."""
    version = await save_draft(JOURNEYS, "sale", TEXT, "ada", mesh)
    await ask_for_review(JOURNEYS, "sale", "ada", mesh, version=version)
    waiting = await waiting_for_review(JOURNEYS, mesh)
    await approve(JOURNEYS, "sale", "grace", mesh, version=version)
    later = await save_draft(JOURNEYS, "sale", TEXT, "ada", mesh)

    assert list(waiting) == ["sale"]
    assert await waiting_for_review(JOURNEYS, mesh) == {}
    assert await review_of(JOURNEYS, "sale", later, mesh) is None
    with pytest.raises(NotReviewed):
        await publish(mesh, "ada")
    with pytest.raises(DeclarationError, match="2,001 characters"):
        await ask_for_review(JOURNEYS, "sale", "ada", mesh, version=later, comment="a" * (LONGEST_COMMENT + 1))


def test_a_kind_of_documents_that_there_is_not_is_refused(monkeypatch):
    """With the nearest one; without the setting no kind needs a review."""
    kinds: tuple[Kind, ...] = (JOURNEYS, TEMPLATES)
    assert kinds_reviewed(kinds) == frozenset()
    monkeypatch.setenv("CARTMESH_REVIEW_REQUIRED", "templates")
    assert kinds_reviewed(kinds) == {"template"}
    monkeypatch.setenv("CARTMESH_REVIEW_REQUIRED", "journey")
    with pytest.raises(DeclarationError, match="there are no documents journey; did you mean journeys"):
        kinds_reviewed(kinds)
