"""The mail that was sent, on the page that explains its cart: rendered again as it was, whatever changed since."""

import re

import pytest

from mesh import Mesh, Money
from mesh.events.console import ConsoleChanged
from mesh.events.offer import OfferSent
from mesh.events.product import ProductListed
from mesh.runtime.run import running
from notifications.channels.service import service as channels
from notifications.documents.publishing import publish
from notifications.offers import service as offers
from notifications.studio import service as studio
from notifications.templates.kind import TEMPLATES
from services.identity import service as identity

SHIPPED = TEMPLATES.read_folder("")["abandoned-cart"]
PRICE = Money(amount=4500, currency="EUR")


@pytest.fixture
async def sent(at_work, shop, box, journeys, eventually):
    """A German shopper's mail; then its template is published anew, and its product renamed. Its offer and its HTML."""
    journeys(first='channels = ["email"]\n')
    await shop.mesh.publish(ProductListed(product_id="p1", name="Lampe", price=PRICE))
    async with at_work(offers, channels, identity):
        await shop.identify("ada", name="Frau Lindner", locale="de")
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        [event] = await eventually(lambda: shop.all("c1", OfferSent), within=60)
        other = {file: text.replace("subject = ", 'subject = "New" # ', 1) for file, text in SHIPPED.items()}
        await publish(TEMPLATES, "abandoned-cart", other, "ada", shop.mesh)
        await shop.mesh.publish(ProductListed(product_id="p1", name="Other", price=PRICE))
    [mail] = [one for one in box.mails if one.offer_id == event.offer_id]
    message = box.opened(mail)
    return event.offer_id, message.get_body(("html",)).get_content(), message["Subject"]


def without_links(html):
    """A mail whose links that only its shopper may follow are left out."""
    return re.sub(r'http://[^"]+/(unsubscribe|preferences)/[^"]+', "...", html.replace("\r\n", "\n")).strip()


async def test_a_mail_is_shown_as_its_shopper_got_it(sent, shop, staff, regions, at_work):
    """To administrators, on record, byte for byte; to others without a name, in a language that they choose."""
    offer, html, subject = sent
    mesh = Mesh(regions.broker("us"), "studio", others=("eu",))
    page = f"/decisions/c1/mail/{offer}"
    try:
        async with at_work(channels), running(studio, mesh, http=("127.0.0.1", 0)) as run:
            come = {role: await staff(shop.mesh, run.port, role) for role in ("viewer", "marketer", "admin")}
            cart = {role: (await person.get("/decisions/c1")).text for role, person in come.items()}
            refused = await come["viewer"].get(page)
            shown = await come["marketer"].get(f"{page}?language=de")
            frame = await come["marketer"].get(f"{page}/frame?language=de")
            nameless = [(await come["admin"].get(path)).text for path in (page, f"{page}/frame", "/decisions/c1")]
            no_admin = await come["marketer"].send(f"{page}/shopper", page=page)
            whole = await come["admin"].send(f"{page}/shopper", page=page)
            unknown = await come["admin"].get("/decisions/c1/mail/none")
    finally:
        await mesh.broker.drain()

    assert f'href="{page}"' in cart["marketer"]
    assert f'href="{page}"' not in cart["viewer"]
    assert (refused.status_code, no_admin.status_code, unknown.status_code) == (403, 403, 404)
    assert "rendered again from revision 0 of abandoned-cart" in shown.text
    assert "<iframe" in shown.text
    assert "sandbox" in frame.headers["content-security-policy"]
    assert ("Lampe" in frame.text, "Frau Lindner" in frame.text, "Other" in frame.text) == (True, False, False)
    assert [one for one in ("Lindner", "ada@example.test") if any(one in text for text in nameless)] == []
    assert without_links(whole.text) == without_links(html)
    assert ("Frau Lindner" in html, "New" in subject) == (True, False)
    changed = [one.event async for one in shop.mesh.read(ConsoleChanged)]
    assert [(one.action, one.subject) for one in changed] == [("show-mail-of-shopper", f"offer/{offer}")]
