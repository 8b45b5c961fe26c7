"""Opens of mails: counted where a journey wants it, told apart, and shown beside what they cannot tell."""

import re
from contextlib import asynccontextmanager
from html import unescape
from urllib.parse import urlsplit

import httpx

from mesh import Mesh
from mesh.events.offer import OfferDecided, OfferOpened, OfferSent
from mesh.runtime.run import running
from notifications.links import service as links
from notifications.studio import service as studio

JOURNEY = 'channels = ["email"]\n'
COUNTED = f"{JOURNEY}count_opens = true\n"
PIXEL = re.compile(r'<img src="([^"]+/opened/[^"]+)" width="1"')


async def mailed(shop, box, cart="c1"):
    """A cart is left, and its mail arrives; the HTML of the mail."""
    await shop.identify("ada")
    await shop.fill(cart, "ada")
    await shop.score(cart, "ada", await shop.leave(cart, "ada"))
    (mail,) = await box.wait_for(1)
    return box.opened(mail).get_body(("html",)).get_content()


@asynccontextmanager
async def reading(regions, staff):
    """Reads the studio's pages, as a viewer sees them."""
    mesh = Mesh(regions.broker("us"), "studio", others=("eu",))
    async with running(studio, mesh, http=("127.0.0.1", 0)) as run:
        person = await staff(mesh, run.port, "viewer")

        async def read(path):
            main = (await person.get(path)).text.partition("<main")[2].partition(">")[2]
            return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())

        yield read


async def test_a_mail_has_a_picture_only_where_opens_are_counted(at_work, shop, box, journeys, eventually):
    """By default no mail has one, and nothing says that its opens are counted."""
    journeys(first=JOURNEY)
    async with at_work():
        html = await mailed(shop, box)
        (sent,) = await eventually(lambda: shop.all("c1", OfferSent))

    assert PIXEL.search(html) is None
    assert not sent.opens_counted


async def test_the_picture_of_a_mail_counts_it_and_the_pages_say_by_whom(
    at_work, shop, box, journeys, regions, staff, eventually
):
    """From the mailbox to the pages: Apple Mail's load is a machine's; a person's open counts apart."""
    journeys(first=COUNTED)
    mesh = Mesh(regions.broker("us"), "links", others=("eu",))
    async with at_work(), reading(regions, staff) as read, running(links, mesh, http=("127.0.0.1", 0)) as served:
        html = await mailed(shop, box)
        (sent,) = await eventually(lambda: shop.all("c1", OfferSent))
        url = urlsplit(PIXEL.search(html)[1])
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}") as program:
            await program.get(url.path, headers={"User-Agent": "Mozilla/5.0"})
        (opened,) = await shop.all("c1", OfferOpened)
        read_later = OfferOpened(cart_id="c1", offer_id=sent.offer_id, by="proxy", reason="Gmail's servers loaded it")
        await shop.mesh.publish(read_later)

        async def counted():
            page = await read("/overview")
            return page if "people 1 100.0 % machines 1 100.0 %" in page else None

        overview = await eventually(counted)
        experiment, why = await read("/experiments/first"), await read("/decisions/c1")

    assert html.rstrip().endswith("</html>")
    assert html.index("/opened/") < html.index("</body>")
    assert sent.opens_counted
    assert opened == OfferOpened(
        cart_id="c1",
        offer_id=sent.offer_id,
        by="machine",
        reason="Apple Mail Privacy Protection loads the pictures of every mail",
    )
    assert "Opened by is of the 1 mail whose opens are counted" in overview
    for page in (overview, experiment):
        assert "opens say neither who read a mail nor which one is better: orders do" in page
    assert "Do not choose a winner by this" in experiment
    assert "Loaded by a machine Apple Mail Privacy Protection loads the pictures of every mail" in why
    assert "Opened by a person, through their mail service" in why
    assert [one.outcome for one in await shop.all("c1", OfferDecided)] == ["approved"]
