"""Languages of a rehearsal: how many mails would be in which, which fall back, and examples as shoppers get them."""

import re
from html import unescape

from mesh import Mesh
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.events.offer import OfferDecided
from mesh.runtime.run import running
from notifications.channels.languages import LanguageCount
from notifications.channels.service import service as channels
from notifications.offers import service as offers
from notifications.rehearsal.languages import Languages, Mail, TemplateLanguages, languages_of
from notifications.studio import service as studio
from services.identity import service as identity

MAIL_ONLY = 'channels = ["email"]\ncap = 5\n'
SHOPPERS = {"ada": "de-AT", "bob": "de", "cleo": "fr-FR", "dan": "ja", "eve": None}
TEMPLATE = "abandoned-cart"


async def leave_carts(shop, eventually):
    """Each of them leaves a cart, which gets a mail."""
    for visitor, locale in SHOPPERS.items():
        about = {"visitor_id": visitor, "email": f"{visitor}@example.test", "name": "Adelheid", "locale": locale}
        await shop.mesh.publish(CustomerIdentified(**about))
        await shop.mesh.publish(ConsentChanged(visitor_id=visitor, channel="email", granted=True))
        await shop.fill(f"of-{visitor}", visitor)
        await shop.leave(f"of-{visitor}", visitor)
    for visitor in SHOPPERS:
        await eventually(lambda visitor=visitor: shop.all(f"of-{visitor}", OfferDecided))


async def test_a_rehearsal_says_the_languages_of_its_mails(at_work, shop, box, journeys, regions, staff, eventually):
    """By the shoppers' own languages; one that the template lacks is said, and so is one that is not known."""
    journeys(first=MAIL_ONLY)
    mesh = Mesh(regions.broker("us"), "studio", others=("eu",))
    async with at_work(offers, channels, identity), running(studio, mesh, http=("127.0.0.1", 0)) as run:
        await leave_carts(shop, eventually)
        marketer = await staff(mesh, run.port, "marketer")

        page = (await marketer.get("/journeys/first/rehearsal?result=1")).text

        words = " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())
        mails = [unescape(one) for one in re.findall(r'href="(/journeys/first/rehearsal/mail[^"]+)"', page)]
        shown = {one.partition("cart=of-")[2].partition("&")[0]: (await marketer.get(one)).text for one in mails}

    assert "German 2" in words
    assert f"French: they get English, as {TEMPLATE} has no French falls back 1" in words
    assert "No language known: they get English 1" in words
    assert "Japanese 1" in words
    assert {visitor: re.search(r'<html[^>]* lang="([^"]+)"', html)[1] for visitor, html in shown.items()} == {
        "ada": "de",
        "bob": "de",
        "cleo": "en",
        "dan": "ja",
        "eve": "en",
    }
    assert not any("Adelheid" in html or "@example.test" in html for html in shown.values())


async def test_languages_of_other_regions_stay_there(at_work, shop, box, journeys, eventually):
    """Their mails are counted as such, also by a template that is gone; nobody here reads their languages."""
    journeys(first=MAIL_ONLY)
    mails = [Mail(template=TEMPLATE, visitor_id="ada", region=region) for region in ("us", "us", "eu")]
    gone = Mail(template="gone", visitor_id="ada", region="us")
    async with at_work(offers, channels, identity):
        await shop.mesh.publish(CustomerIdentified(visitor_id="ada", email="ada@example.test", locale="de_DE"))

        async def found():
            return await languages_of([*mails, gone], shop.mesh)

        languages = await eventually(found)

    german = LanguageCount(wanted="de", given="de", mails=2)
    assert languages == Languages(
        mails=4, templates=(TemplateLanguages(template=TEMPLATE, counts=(german,)),), elsewhere=1, without=1
    )


async def test_where_nobody_may_read_languages_nothing_is_said_of_them(shop):
    """The service that may is not there."""
    assert await languages_of([], shop.mesh) == Languages(mails=0, templates=())
