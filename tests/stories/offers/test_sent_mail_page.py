"""The mail that was sent, on the page that explains its cart: rendered again as it was, whatever changed since."""

import re
from html import unescape

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
    without = re.sub(r'http://[^"]+/(unsubscribe|preferences)/[^"]+', "...", html.replace("\r\n", "\n"))
    return re.sub(r'&(amp;)?saved=[^"&\s]+', "", without).strip()


def fields(page):
    """What the form of the template editor holds."""
    editor = page[page.index('<form id="editor"') :]
    found = re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\n(.*?)</textarea>', editor, re.DOTALL)
    hidden = re.findall(r'<input type="hidden" name="(locale|read|text:kind)" value="([^"]*)">', editor)
    return {name: unescape(value) for name, value in found} | dict(hidden)


async def test_a_mail_is_shown_as_its_shopper_got_it(sent, shop, staff, regions, at_work, eventually):
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
            tried = await tried_on_carts(come, eventually)
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
    assert [(one.action, one.subject, one.details) for one in changed] == [
        ("show-mail-of-shopper", f"offer/{offer}", {}),
        ("try-mail-on-shopper", "template/abandoned-cart", {"cart": "c1"}),
    ]
    nameless, own, refused, without = tried
    assert ("Other" in nameless.text, "Lindner" in nameless.text) == (True, False)
    assert ("Tried on Frau Lindner" in own.text, "Other" in own.text) == (True, True)
    assert (refused.status_code, without.status_code) == (403, 422)
    assert "hoose a cart that was left" in without.text


async def tried_on_carts(come, eventually):
    """The editor's mail of a real cart: for marketers without a name, for administrators with it, or refused."""
    page = "/templates/abandoned-cart"
    shown = await eventually(lambda: offered(come["marketer"], page), within=30)
    typed = fields(shown) | {"text:headline": "Tried on {{ customer.name }}", "cart": "c1", "named": "no"}
    return (
        await come["marketer"].send(f"{page}/frame", page=page, **typed),
        await come["admin"].send(f"{page}/shopper", page=page, **typed),
        await come["marketer"].send(f"{page}/shopper", page=page, **typed),
        await come["admin"].send(f"{page}/shopper", page=page, **typed | {"cart": ""}),
    )


async def offered(person, page):
    """The page in German, once the cart can be chosen there."""
    shown = (await person.get(f"{page}?locale=de")).text
    return shown if '<option value="c1">' in shown else None
