"""Templates as documents: seeded, published like journeys, and rendered in the revision that was decided."""

import pytest

from mesh.errors import DeclarationError
from mesh.events.offer import OfferDecided, OfferSent
from notifications.channels.service import service as channels
from notifications.documents.publishing import find_revision, publish, versions
from notifications.offers import service as offers
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from services.identity import service as identity

SHIPPED = TEMPLATES.read_folder("")["abandoned-cart"]


def with_subject(subject):
    """The template that comes with Cartmesh, its English mail with this subject."""
    english = SHIPPED["en.mjml.j2"].split("\n")
    english[1] = f'subject = "{subject}"'
    return {**SHIPPED, "en.mjml.j2": "\n".join(english)}


async def test_an_offer_is_rendered_with_the_revision_that_was_decided(shop, at_work, box, eventually):
    """Revision 1 was in force at the decision; revision 2, published before the sending, is for later offers."""
    async with at_work(offers, identity):
        await publish(TEMPLATES, "abandoned-cart", with_subject("The first"), "ada", shop.mesh)
        decided = await eventually(lambda: _decided_with(shop, 1, eventually), within=60)
        await publish(TEMPLATES, "abandoned-cart", with_subject("The second"), "grace", shop.mesh)

    async with at_work(channels):
        await eventually(lambda: _mailed(shop, decided.cart_id), within=60)

    (mail,) = [one for one in box.mails if one.offer_id == decided.offer_id]
    assert box.opened(mail)["Subject"] == "The first"
    assert (await _mailed(shop, decided.cart_id)).template_revision == 1


async def test_a_template_published_in_one_region_is_in_force_in_the_other_and_its_seed_is_kept(
    shop, shop_in, at_work, box, eventually
):
    """Decisions may still name the other region's seed: it stays readable there."""
    eu = shop_in("eu")
    async with at_work(offers, studio), at_work(offers, studio, region="eu"):
        seeded = await eventually(lambda: eu.mesh.state(TEMPLATES.bucket).get("abandoned-cart"), within=60)

        await publish(TEMPLATES, "abandoned-cart", with_subject("New"), "ada", shop.mesh)
        await eventually(lambda: _in_force(eu, 1), within=60)

    assert await find_revision(TEMPLATES, "abandoned-cart", 0, eu.mesh) == seeded
    assert [one.document.revision for one in await versions(TEMPLATES, "abandoned-cart", eu.mesh)] == [1, 0]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "needs a file for at least one locale"),
        ({"passwd": "x"}, "name a file after its locale"),
        ({"en.mjml.j2": "<mjml/>"}, "sale/en.mjml.j2 line 1: it must begin with front matter"),
        (with_subject("{{ nobody }}"), "'nobody' is undefined: check the name"),
        (with_subject("x" * 300_000), "bytes are more than"),
    ],
)
async def test_a_template_that_cannot_be_rendered_is_not_published(shop, files, words):
    """The error names the file and what to do, and nothing is stored."""
    with pytest.raises(DeclarationError, match=words):
        await publish(TEMPLATES, "sale", files, "ada", shop.mesh)

    assert await versions(TEMPLATES, "sale", shop.mesh) == []


async def _decided_with(shop, revision, eventually):
    cart = f"c{len(await _carts(shop))}"
    await shop.identify(cart)
    await shop.fill(cart, cart)
    await shop.score(cart, cart, await shop.leave(cart, cart))
    decided = (await eventually(lambda: shop.all(cart, OfferDecided), within=60))[-1]
    return decided if decided.template_revision == revision else None


async def _carts(shop):
    return [one async for one in shop.mesh.read(OfferDecided)]


async def _mailed(shop, cart):
    return next((one for one in await shop.all(cart, OfferSent) if one.channel == "email"), None)


async def _in_force(shop, revision):
    found = await shop.mesh.state(TEMPLATES.bucket).get("abandoned-cart")
    return found is not None and found.revision == revision
