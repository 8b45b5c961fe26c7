"""Journeys as documents: seeded from files, published in any region, in force everywhere without a restart."""

import os
from uuid import uuid4

import pytest

from mesh.errors import DeclarationError
from mesh.events.offer import (
    OfferDecided,
)
from notifications.documents.document import Superseded
from notifications.documents.drafts import publish_draft, read_draft, save_draft
from notifications.documents.publishing import find_revision, publish, revert, versions
from notifications.documents.seeding import seed
from notifications.journeys.kind import JOURNEYS, files_of
from notifications.offers import service as offers
from notifications.studio import service as studio

BASE = """template = "abandoned-cart"
quiet = ""
"""


async def test_a_published_journey_takes_effect_while_services_run_in_every_region(
    shop_in, at_work, shop, box, eventually
):
    """The next cart of either region is decided with it, and the decision names the revision."""
    eu = shop_in("eu")
    async with at_work(offers, studio), at_work(offers, studio, region="eu"):
        await _leave_and_decide(shop, "before", eventually)

        await publish(JOURNEYS, "abandoned-cart", files_of(BASE + "discount_percent = 7"), "ada", shop.mesh)
        await eventually(lambda: _in_force(eu.mesh, 1))
        await eventually(lambda: _in_force(shop.mesh, 1))
        assert [one.document.revision for one in await versions(JOURNEYS, "abandoned-cart", eu.mesh)] == [1, 0]
        here = await eventually(lambda: _decided_with(shop, 1, eventually), within=60)
        there = await eventually(lambda: _decided_with(eu, 1, eventually), within=60)

    before = (await shop.all("before", OfferDecided))[-1]
    assert (before.journey_revision, before.discount_percent) == (0, 10)
    assert here.discount_percent == there.discount_percent == 7


async def test_files_seed_an_empty_bucket_and_never_overwrite_what_people_published(shop, journeys):
    """Not a changed file, and no new one."""
    journeys(first="cap = 1")
    folder = os.environ["CARTMESH_JOURNEYS"]
    await seed(JOURNEYS, folder, shop.mesh)
    journeys(first="cap = 2")
    await seed(JOURNEYS, folder, shop.mesh)
    unchanged = await shop.mesh.state(JOURNEYS.bucket).get("first")

    await publish(JOURNEYS, "first", files_of(BASE + "cap = 3"), "ada", shop.mesh)
    journeys(second="cap = 4")
    await seed(JOURNEYS, folder, shop.mesh)

    assert (unchanged.revision, unchanged.files) == (0, files_of(BASE + "cap = 1"))
    assert [(name, one.revision) async for name, one in shop.mesh.state(JOURNEYS.bucket).items()] == [("first", 1)]


async def test_every_revision_is_kept_and_can_be_published_again(shop, journeys):
    """The seed too; the history says which is in force."""
    journeys(first="cap = 1")
    await seed(JOURNEYS, os.environ["CARTMESH_JOURNEYS"], shop.mesh)
    await publish(JOURNEYS, "first", files_of(BASE + "cap = 2"), "ada", shop.mesh)

    await revert(JOURNEYS, "first", 0, "grace", shop.mesh)

    found = await versions(JOURNEYS, "first", shop.mesh)
    assert [(one.document.revision, one.document.author, one.state) for one in found] == [
        (2, "grace", "in force"),
        (1, "ada", "replaced"),
        (0, "seed", "replaced"),
    ]
    assert found[0].document.files == found[2].document.files == files_of(BASE + "cap = 1")


async def test_revisions_published_on_both_sides_of_a_cut_leave_one_in_force_and_lose_none(
    shop_in, at_work, shop, journeys, eventually
):
    """The later one is in force in both regions; the other stays in both histories."""
    eu = shop_in("eu")
    first = await publish(JOURNEYS, "sale", files_of(BASE + "cap = 1"), "ada", shop.mesh)
    second = await publish(JOURNEYS, "sale", files_of(BASE + "cap = 2"), "grace", eu.mesh)
    assert first.revision == second.revision == 1
    journeys(other="")

    async with at_work(offers, studio), at_work(offers, studio, region="eu"):
        await eventually(lambda: _in_force(shop.mesh, 1, "eu", "sale"))

        for mesh in (shop.mesh, eu.mesh):
            found = await eventually(lambda mesh=mesh: _both_known(mesh))
            assert [(one.document.author, one.state) for one in found] == [
                ("grace", "in force"),
                ("ada", "lost to the concurrent revision of eu"),
            ]


async def test_a_revision_that_lost_to_another_regions_is_a_draft_on_what_both_began_with(
    shop_in, at_work, shop, journeys, eventually
):
    """In its own region, also where the other one went on meanwhile; what knew of it makes none."""
    eu = shop_in("eu")
    journeys(other="")
    async with at_work(offers, studio), at_work(offers, studio, region="eu"):
        await publish(JOURNEYS, "sale", files_of(BASE + "cap = 1"), "ada", shop.mesh)
        await eventually(lambda: _in_force(eu.mesh, 1, "us", "sale"))
        await publish(JOURNEYS, "sale", files_of(BASE + "cap = 2"), "grace", eu.mesh)
        await eventually(lambda: _in_force(shop.mesh, 2, "eu", "sale"))
        assert (await read_draft(JOURNEYS, "sale", shop.mesh))[0] is None
    await publish(JOURNEYS, "sale", files_of(BASE + "cap = 3"), "ada", shop.mesh)
    await publish(JOURNEYS, "sale", files_of(BASE + "cap = 4"), "ada", shop.mesh)
    await publish(JOURNEYS, "sale", files_of(BASE + "cap = 2\npriority = 5"), "grace", eu.mesh)

    async with at_work(offers, studio), at_work(offers, studio, region="eu"):
        await eventually(lambda: _in_force(eu.mesh, 4, "us", "sale"))

    draft, version = await read_draft(JOURNEYS, "sale", eu.mesh)
    assert (draft.files, draft.author) == (files_of(BASE + "cap = 2\npriority = 5"), "grace")
    assert (draft.based_on, draft.based_on_region) == (2, "eu")
    assert (await read_draft(JOURNEYS, "sale", shop.mesh))[0] is None
    with pytest.raises(Superseded, match="begun on revision 2, and revision 4 by ada is in force"):
        await publish_draft(JOURNEYS, "sale", "grace", eu.mesh, version=version)


async def test_a_draft_on_a_revision_that_lost_is_not_published_unseen(shop_in, at_work, shop, journeys, eventually):
    """Though the one in force has the same number."""
    eu = shop_in("eu")
    journeys(other="")
    await publish(JOURNEYS, "sale", files_of(BASE + "cap = 1"), "ada", shop.mesh)
    await save_draft(JOURNEYS, "sale", files_of(BASE + "cap = 3"), "ada", shop.mesh)
    await publish(JOURNEYS, "sale", files_of(BASE + "cap = 2"), "grace", eu.mesh)
    async with at_work(offers, studio):
        await eventually(lambda: _in_force(shop.mesh, 1, "eu", "sale"))

    with pytest.raises(Superseded, match="begun on revision 1, and revision 1 by grace in eu is in force"):
        await publish_draft(JOURNEYS, "sale", "ada", shop.mesh)

    lost = await find_revision(JOURNEYS, "sale", 1, shop.mesh, region="us")
    assert lost.files == files_of(BASE + "cap = 1")
    put_back = await revert(JOURNEYS, "sale", 1, "ada", shop.mesh, region="us")
    assert (put_back.revision, put_back.files) == (2, files_of(BASE + "cap = 1"))


async def test_a_wrong_document_is_not_published(shop, journeys):
    """It says what is wrong, and nothing is stored."""
    with pytest.raises(DeclarationError, match="unknown discont"):
        await publish(JOURNEYS, "sale", files_of(BASE + "discont = 5"), "ada", shop.mesh)

    assert await versions(JOURNEYS, "sale", shop.mesh) == []


async def _leave_and_decide(shop, cart, eventually):
    await shop.identify(cart)
    await shop.fill(cart, cart)
    await shop.score(cart, cart, await shop.leave(cart, cart))
    return (await eventually(lambda: shop.all(cart, OfferDecided)))[-1]


async def _decided_with(shop, revision, eventually):
    decided = await _leave_and_decide(shop, f"c{uuid4().hex}", eventually)
    return decided if decided.journey_revision == revision else None


async def _in_force(mesh, revision, region="us", name="abandoned-cart"):
    found = await mesh.state(JOURNEYS.bucket).get(name)
    return found is not None and (found.revision, found.region) == (revision, region)


async def _both_known(mesh):
    found = await versions(JOURNEYS, "sale", mesh)
    return found if len(found) == 2 else None
