"""The templates pages over real HTTP: who may do what, what is typed but not saved, bad templates, and test mails."""

import asyncio
import gzip
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import httpx
import pytest

from mesh import Mesh
from mesh import web as mesh_web
from mesh.broker.memory import MemoryMesh
from mesh.events.console import ConsoleChanged
from mesh.events.offer import OfferClaimed, OfferSent
from mesh.runtime.run import running
from mesh.web.static_files import read_folder
from notifications.channels.service import service as channels
from notifications.documents.drafts import read_draft
from notifications.documents.publishing import publish
from notifications.documents.seeding import seed
from notifications.inbox.server import inbox
from notifications.journeys.kind import JOURNEYS
from notifications.studio import service as studio
from notifications.studio.studio import static_files as studio_files
from notifications.studio.template_pages.sending import MOST
from notifications.templates.kind import TEMPLATES
from notifications.templates.texts import texts_of
from tests.sms_receivers import SMS_SETTINGS, twilio_receiver

PAGE = "/templates/abandoned-cart"
FRAME = f"{PAGE}/frame"


@dataclass
class Place:
    """The studio of a region, with whoever comes to its pages."""

    port: int
    mesh: Mesh
    staff: object
    regions: MemoryMesh

    async def come(self, role):
        """Somebody with a role, before the pages."""
        return await self.staff(self.mesh, self.port, role)

    async def files(self, name="abandoned-cart"):
        """The files in force."""
        return (await self.mesh.state(TEMPLATES.bucket).get(name)).files

    async def draft(self, name="abandoned-cart"):
        """The open draft, or None."""
        return (await read_draft(TEMPLATES, name, self.mesh))[0]

    async def changes(self):
        """What was put on record: action, subject, details."""
        found = [one.event async for one in self.mesh.read(ConsoleChanged)]
        return [(one.action, one.subject, one.details) for one in found]


@pytest.fixture
def two_people(monkeypatch):
    """Drafts of templates are published only once two people have seen them."""
    monkeypatch.setenv("CARTMESH_REVIEW_REQUIRED", "templates,blocks")


@pytest.fixture
async def place(staff):
    regions = MemoryMesh("us")
    async with AsyncExitStack() as stack:

        def mesh(name):
            broker = regions.broker("us")
            stack.push_async_callback(broker.drain)
            return Mesh(broker, name)

        for kind in (TEMPLATES, JOURNEYS):
            await seed(kind, "", mesh("offers"))
        run = await stack.enter_async_context(running(studio, mesh("studio"), http=("127.0.0.1", 0)))
        yield Place(run.port, mesh("tests"), staff, regions)


async def form(person, page=PAGE, locale="en", **typed):
    """The fields of the editor as a browser sends them, some typed over."""
    text = (await person.get(f"{page}?locale={locale}")).text
    editor = text[text.index('<form id="editor"') :]
    found = re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\n(.*?)</textarea>', editor, re.DOTALL)
    fields = {name: unescape(value).replace("\n", "\r\n") for name, value in found}
    fields |= dict(re.findall(r'<input type="hidden" name="(locale|read|text:kind)" value="([^"]*)">', editor))
    return {**fields, **typed}


async def send(person, path, fields, page=PAGE):
    """A form sent from a page."""
    return await person.send(path, page=page, **fields)


def words(answer):
    """The text of a page, its elements left out."""
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.text).split()))


async def test_the_list_says_what_each_template_is_for_and_who_uses_it(place):
    """Every template that comes with Cartmesh, its languages, its journey; and a draft with its author."""
    viewer, marketer = await place.come("viewer"), await place.come("marketer")
    await send(marketer, f"{PAGE}/draft", await form(marketer, **{"text:button": "Back"}))

    rows = re.findall(r"<tr>(.*?)</tr>", (await viewer.get("/templates")).text, re.DOTALL)

    rows = [unescape(" ".join(re.sub(r"<[^>]+>", " ", row).split())) for row in rows]
    offer, order = (next(row for row in rows if row.startswith(name)) for name in ("abandoned-cart", "order-shipped"))
    assert offer.startswith("abandoned-cart Offer de , en , ja abandoned-cart Revision 0 comes with Cartmesh")
    assert "marketer, 2" in offer
    assert order.startswith("order-shipped Order mail de , en , ja Cartmesh itself Revision 0")


async def test_a_viewer_sees_and_previews_and_changes_nothing(place):
    """The fields are read only; every form that changes something is refused."""
    viewer = await place.come("viewer")
    fields = await form(viewer, **{"text:subject": "Mine"})
    page = (await viewer.get(PAGE)).text

    preview = await send(viewer, f"{PAGE}/preview", fields)
    refused = [
        (await send(viewer, path, fields)).status_code
        for path in (
            f"{PAGE}/draft",
            f"{PAGE}/discard",
            f"{PAGE}/restore",
            f"{PAGE}/publish",
            f"{PAGE}/revert",
            f"{PAGE}/rebase",
            f"{PAGE}/test-mail",
            f"{PAGE}/languages",
            f"{PAGE}/languages/remove",
            "/templates",
        )
    ]

    assert ("readonly" in page, "Save draft" in page, "Send me this" in page) == (True, False, False)
    assert (preview.status_code, "Mine" in preview.text) == (200, True)
    assert refused == [403] * 10
    assert await place.changes() == []


async def test_a_subject_that_asks_for_a_code_is_shown_with_and_without_one(place):
    """As who writes mails cannot see in its text what shoppers read; one that does not is shown once."""
    marketer = await place.come("marketer")
    fields = await form(marketer)
    asks = "{% if coupon %}Your code{% else %}Still there{% endif %}"

    shown = words(await send(marketer, f"{PAGE}/preview", {**fields, "text:subject": asks}))
    plain = words(await send(marketer, f"{PAGE}/preview", {**fields, "text:subject": "Hello"}))

    assert "Subject Your code Subject without a code Still there" in shown
    assert "without a code" not in plain


async def test_what_is_typed_is_previewed_and_stored_nowhere(place):
    """With the sample that was chosen; the frame may neither run nor send anything, and only this site shows it."""
    marketer = await place.come("marketer")
    fields = await form(marketer, **{"text:subject": "Half price", "text:headline": "<i>Now & here</i>"})

    preview = await send(marketer, f"{PAGE}/preview", {**fields, "named": "no"})
    mail = await send(marketer, FRAME, {**fields, "coupon": "no", "recommended": "no", "lines": "one"})
    many = await send(marketer, FRAME, {**fields, "lines": "many"})
    page = await marketer.get(PAGE)

    assert "Subject Half price" in words(preview)
    assert "Preheader Walnut desk lamp and 1 more thing are still waiting for you." in words(preview)
    assert "Card on the site 10% off your cart" in words(preview)
    assert "No problems found" in words(preview)
    assert ("BACK-7K3Q" in mail.text, "Brass pen tray" in mail.text, "Linen" in mail.text) == (False, False, False)
    assert ("BACK-7K3Q" in many.text, "and 10 more" in many.text) == (True, True)
    policy = mail.headers["content-security-policy"]
    assert all(part in policy for part in ("default-src 'none'", "; sandbox;", "frame-ancestors 'self'"))
    assert "script-src" not in policy
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    assert await place.draft() is None
    assert await place.changes() == []


async def test_a_shopper_without_texts_in_their_language_gets_english(place):
    """As sending does it; a shopper of Austria gets German."""
    viewer = await place.come("viewer")
    fields = await form(viewer)

    shown = {
        shopper: words(await send(viewer, f"{PAGE}/preview", {**fields, "shopper": shopper}))
        for shopper in ("fr", "de-AT", "en")
    }

    assert "off what you left in your cart" in shown["fr"]
    assert "Warenkorb" in shown["de-AT"]


BAD = [
    ({"text:subject": "{{ custmer.name }}"}, "Subject, line 1 : 'custmer' is undefined"),
    ({"body": "<mjml>\r\n{{ coupn }}</mjml>"}, "Body, line 2 : 'coupn' is undefined"),
    ({"body": "<mjml>{{ coupn }}</mjml>"}, "Did you mean coupon?"),
    ({"body": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"}, "it takes too long"),
    ({"body": "{{ 'x' * 1000000000 }}"}, "it needs more memory than a mail may"),
    ({"body": "{{ ''.__class__.__mro__ }}"}, "templates may not reach behind values"),
    ({"body": "{{ (1).__class__.__base__.__subclasses__() }}"}, "templates may not reach behind values"),
    ({"body": "{{ 9 ** 9 ** 9 ** 9 }}"}, "powers are not for mails"),
    ({"body": "{% include 'sale/en.mjml.j2' %}"}, "it extends or includes"),
]


async def test_a_bad_template_is_an_error_in_words_and_the_next_preview_works(place):
    """Endless loops, 10^9 characters, attribute escapes, unknown names: no mail, nothing saved, nothing typed lost."""
    marketer = await place.come("marketer")
    fields = await form(marketer)

    for number, (typed, found) in enumerate(BAD):
        bad = await send(marketer, f"{PAGE}/preview", {**fields, **typed})
        frame = await send(marketer, FRAME, {**fields, **typed})
        refused = await send(marketer, f"{PAGE}/draft", {**fields, **typed})
        good = await send(marketer, f"{PAGE}/preview", {**fields, "text:subject": f"Good {number}"})

        assert (bad.status_code, found in words(bad)) == (200, True), words(bad)
        assert "There is no mail to show" in frame.text
        assert refused.status_code == 422
        assert found.replace(" : ", ": ") in words(refused).partition("Not saved. ")[2], words(refused)
        assert next(iter(typed.values())).replace("\r\n", "\n") in unescape(refused.text)
        assert f"Subject Good {number}" in words(good)
    assert await place.draft() is None


async def test_a_fault_that_only_some_shoppers_would_get_is_told_with_the_sample_that_has_it(place):
    """The preview of another sample is fine, and yet the draft is not saved."""
    marketer = await place.come("marketer")
    fields = await form(marketer, **{"text:headline": "{% if not customer.name %}{{ custmer }}{% endif %}Hello"})

    fine = await send(marketer, f"{PAGE}/preview", fields)
    refused = await send(marketer, f"{PAGE}/draft", fields)

    assert "No problems found" in words(fine)
    assert "Not saved. Headline, line 1: 'custmer' is undefined" in words(refused)
    assert "(in the mail to a shopper without a name)" in words(refused)


async def test_many_previews_at_once_are_each_answered_with_their_own(place):
    """Beside one that never ends."""
    marketer = await place.come("marketer")
    fields = await form(marketer)
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"

    stuck, *others = await asyncio.gather(
        send(marketer, f"{PAGE}/preview", {**fields, "body": endless}),
        *(send(marketer, f"{PAGE}/preview", {**fields, "text:subject": f"Number {n}"}) for n in range(8)),
    )

    assert "it takes too long" in words(stuck)
    assert [f"Subject Number {n}" in words(one) for n, one in enumerate(others)] == [True] * 8


async def test_a_draft_is_saved_reviewed_published_and_put_back(place):
    """A marketer drafts, a publisher publishes; the file differs in the line that was changed and in no other."""
    marketer, publisher = await place.come("marketer"), await place.come("publisher")
    before = await place.files()

    saved = await send(marketer, f"{PAGE}/draft", await form(marketer, **{"text:button": "Back to it"}))
    review = await publisher.get(f"{PAGE}/review")
    hers = await marketer.get(f"{PAGE}/review")
    version = re.search(r'name="version" value="(\d+)"', review.text)[1]
    made = await send(publisher, f"{PAGE}/publish", {"version": version, "revision": "0"}, f"{PAGE}/review")
    after = await place.files()
    history = await publisher.get(f"{PAGE}/history?revision=1")
    back = await send(publisher, f"{PAGE}/revert", {"revision": "0", "expected": "1"}, f"{PAGE}/history")

    assert (saved.status_code, saved.headers["location"]) == (303, f"{PAGE}?locale=en&done=saved")
    assert re.search(r'removed button = "Return to my cart" \d+ \+ new button = "Back to it"', words(review))
    assert ("Whoever has the role publisher" in words(hers), "<button>Publish" in hers.text) == (True, False)
    assert (made.status_code, made.headers["location"]) == (303, f"{PAGE}/history?done=published")
    assert after == {
        **before,
        "en.mjml.j2": before["en.mjml.j2"].replace('button = "Return to my cart"', 'button = "Back to it"'),
    }
    assert "What revision 1 changed" in words(history)
    assert "in force" in words(history)
    assert back.headers["location"] == f"{PAGE}/history?done=reverted"
    assert (await place.files(), await place.draft()) == (before, None)
    assert [(action, details.get("revision")) for action, _, details in await place.changes()] == [
        ("save-template-draft", None),
        ("publish-template", "1"),
        ("revert-template", "2"),
    ]


async def test_two_people_in_one_language_are_shown_the_difference(place):
    """The second is told who saved and what differs; hers stays in the form; she may save it over theirs."""
    ada, bea = await place.come("marketer"), await place.come("publisher")
    hers, theirs = [await form(one, **{"text:button": f"{n}'s"}) for one, n in ((ada, "Ada"), (bea, "Bea"))]

    await send(bea, f"{PAGE}/draft", theirs)
    conflict = await send(ada, f"{PAGE}/draft", hers)
    kept = texts_of((await place.draft()).files["en.mjml.j2"], "en").front["button"]
    over = re.search(r'name="over" value="(\w+)"', conflict.text)[1]
    saved = await send(ada, f"{PAGE}/draft", {**hers, "over": over})

    assert (conflict.status_code, "Not saved: publisher saved these texts meanwhile" in words(conflict)) == (409, True)
    assert 'removed button = "Bea\'s"' in words(conflict)
    assert '+ new button = "Ada\'s"' in words(conflict)
    assert ">\nAda's</textarea>" in unescape(conflict.text)
    assert kept == "Bea's"
    assert saved.status_code == 303
    assert texts_of((await place.draft()).files["en.mjml.j2"], "en").front["button"] == "Ada's"


async def test_two_people_in_two_languages_do_not_get_in_each_others_way(place):
    """Both texts are in the draft."""
    ada, bea = await place.come("marketer"), await place.come("marketer")
    english = await form(ada, **{"text:button": "Ada's"})
    german = await form(bea, locale="de", **{"text:button": "Beas"})

    answers = [await send(ada, f"{PAGE}/draft", english), await send(bea, f"{PAGE}/draft", german)]

    assert [one.status_code for one in answers] == [303, 303]
    files = (await place.draft()).files
    assert [texts_of(files[file], file).front["button"] for file in ("en.mjml.j2", "de.mjml.j2")] == ["Ada's", "Beas"]


async def test_a_draft_that_was_overtaken_is_published_only_after_a_look(place):
    """The review says so and offers to keep it."""
    person = await place.come("publisher")
    files = await place.files()
    await send(person, f"{PAGE}/draft", await form(person, **{"text:button": "Mine"}))
    other = {**files, "de.mjml.j2": files["de.mjml.j2"].replace("\n[card]", 'extra = "x"\n\n[card]')}
    await publish(TEMPLATES, "abandoned-cart", other, "ada", place.mesh)

    review = await person.get(f"{PAGE}/review")
    version = re.search(r'name="version" value="(\d+)"', review.text)[1]
    fields = {"version": version, "revision": "1"}
    refused = await send(person, f"{PAGE}/publish", fields, f"{PAGE}/review")
    await send(person, f"{PAGE}/rebase", {"version": version}, f"{PAGE}/review")
    review_again = await person.get(f"{PAGE}/review")
    version = re.search(r'name="version" value="(\d+)"', review_again.text)[1]
    made = await send(person, f"{PAGE}/publish", {**fields, "version": version}, f"{PAGE}/review")

    assert "Revision 1 by ada was published since this draft was begun" in words(review)
    assert ("<button>Publish" in review.text, refused.status_code) == (False, 409)
    assert 'removed extra = "x"' in words(review)
    assert made.status_code == 303


async def test_languages_are_added_and_removed_and_templates_are_copied(place):
    """All in drafts; the last language stays; wrong codes and names are refused in words."""
    person = await place.come("marketer")

    copied = await send(person, "/templates", {"name": "spring-sale", "copy": "abandoned-cart"}, "/templates")
    taken = await send(person, "/templates", {"name": "spring-sale", "copy": "abandoned-cart"}, "/templates")
    wrong_name = await send(person, "/templates", {"name": "Spring Sale", "copy": "abandoned-cart"}, "/templates")
    page = "/templates/spring-sale"
    added = await send(person, f"{page}/languages", {"locale": "de", "added": "de-AT"}, page)
    wrong = await send(person, f"{page}/languages", {"locale": "de", "added": "../x"}, page)
    for locale in ("de", "en", "ja"):
        await send(person, f"{page}/languages/remove", {"locale": locale}, page)
    last = await send(person, f"{page}/languages/remove", {"locale": "de-AT"}, page)

    assert copied.headers["location"] == f"{page}?done=created"
    assert (taken.status_code, "There is a template spring-sale already" in words(taken)) == (409, True)
    assert (wrong_name.status_code, "lower-case words joined by single dashes" in words(wrong_name)) == (422, True)
    assert added.headers["location"] == f"{page}?locale=de-AT&done=added"
    assert (wrong.status_code, "write a code such as fr" in words(wrong)) == (422, True)
    assert (last.status_code, "a template needs one" in words(last)) == (422, True)
    draft = await place.draft("spring-sale")
    assert draft.files == {"de-AT.mjml.j2": (await place.files())["de.mjml.j2"]}
    discarded = await send(person, f"{page}/discard", {"version": "1"}, page)
    assert discarded.status_code == 409
    assert await place.draft("spring-sale") == draft


async def test_a_draft_that_was_discarded_is_opened_again(place):
    """By the page that says so, as it was; only once, and not over a draft that was saved since."""
    person = await place.come("marketer")
    await send(person, f"{PAGE}/draft", await form(person, **{"text:button": "Back to it"}))
    draft = await place.draft()
    version = re.search(r'name="version" value="(\d+)"', (await person.get(PAGE)).text)[1]

    gone = await send(person, f"{PAGE}/discard", {"version": version})
    closed = await place.draft()
    page = await person.get(gone.headers["location"])
    version = re.search(r'name="version" value="(\d+)"', page.text)[1]
    back = await send(person, f"{PAGE}/restore", {"version": version})
    again = await send(person, f"{PAGE}/restore", {"version": version})

    assert ("The draft of abandoned-cart is discarded" in words(page), closed) == (True, None)
    assert (back.headers["location"], again.status_code) == (f"{PAGE}?done=restored", 409)
    assert (await place.draft()).files == draft.files


async def test_what_is_there_not_is_404(place):
    """A name, a language, a name that is none."""
    person = await place.come("publisher")
    fields = await form(person)

    answers = [
        (await person.get(path)).status_code
        for path in ("/templates/sale", f"{PAGE}?locale=fr", "/templates/A..b", "/templates/sale/history")
    ]
    answers.append((await send(person, f"{PAGE}/preview", {**fields, "locale": "fr"})).status_code)

    assert answers == [404] * 5


async def test_a_test_text_goes_to_a_number_that_is_typed(place, monkeypatch):
    """By the provider that `channels` knows; what is no number is refused, and what the provider says is shown."""
    before = "Text me this" in (await (await place.come("marketer")).get(PAGE)).text
    with twilio_receiver() as twilio:
        settings = {**SMS_SETTINGS, "TWILIO_URL": twilio.url}
        for name, value in settings.items():
            monkeypatch.setenv(f"CARTMESH_{name}", value)
        async with running(channels, Mesh(place.regions.broker("us"), "channels")):
            person = await place.come("marketer")
            fields = await form(person, **{"text:sms.text": "Half price. Reply STOP"})
            sent = await send(person, f"{PAGE}/test-text", {**fields, "test_number": "+49 1511 2345678"})
            wrong = await send(person, f"{PAGE}/test-text", {**fields, "test_number": "0151"})
            twilio.answer = lambda _: (400, {"code": 21614, "message": "no mobile"})
            refused = await send(person, f"{PAGE}/test-text", {**fields, "test_number": "+4930901820"})

    assert [(one["To"], one["Body"]) for one in twilio.messages[:1]] == [("+4915112345678", "Half price. Reply STOP")]
    assert "Sent. Its links are those of a sample" in words(sent)
    assert "write your number with its country" in words(wrong)
    assert "Not sent: Twilio 21614: no mobile." in words(refused)
    assert ("send-test-text", "template/abandoned-cart", {"language": "en"}) in await place.changes()
    assert (before, len(twilio.messages)) == (False, 2)


async def test_a_shop_switches_texts_about_orders_on_where_it_writes_them(place, monkeypatch):
    """A tick of the template, off by default; the draft holds it, and a form without it takes it away again."""
    monkeypatch.setenv("CARTMESH_SMS_PROVIDER", "twilio")
    person, page = await place.come("marketer"), "/templates/order-shipped"
    text = (await person.get(page)).text
    fields = await form(person, page)
    await send(person, f"{page}/draft", {**fields, "text:sms.beside_mail": "yes"}, page)
    ticked = (await person.get(page)).text
    files = (await place.draft("order-shipped")).files
    await send(person, f"{page}/draft", await form(person, page), page)
    cleared = await place.draft("order-shipped")

    tick = r'name="text:sms.beside_mail" value="yes" aria-describedby="[^"]+" checked'
    assert "Also text it to buyers who get the mail" in text
    assert "Text me this" in text
    assert (re.search(tick, text), bool(re.search(tick, ticked))) == (None, True)
    assert texts_of(files["en.mjml.j2"], "en").front["sms.beside_mail"] == "yes"
    assert cleared is None or "sms.beside_mail" not in texts_of(cleared.files["en.mjml.j2"], "en").front


async def test_a_test_mail_goes_to_the_own_address_alone(place, monkeypatch, tmp_path):
    """By the real mail server, its subject says that it is a test; no offer is claimed; an eleventh is refused."""
    async with inbox(tmp_path) as box:
        monkeypatch.setenv("CARTMESH_SMTP_PORT", str(box.smtp_port))
        person = await place.come("marketer")
        fields = await form(person, **{"text:subject": "Half price"})

        first = await send(person, f"{PAGE}/test-mail", {**fields, "to": "victim@example.com"})
        more = [await send(person, f"{PAGE}/test-mail", fields) for _ in range(MOST)]

    mails = box.mails
    (address,) = re.findall(r"Sent to ([^ ]+@example\.com)\.", words(first))
    assert len(mails) == MOST
    assert {(*mail.recipients, mail.subject) for mail in mails} == {(address, "Test: Half price")}
    assert [one.status_code for one in more] == [200] * (MOST - 1) + [429]
    assert f"{MOST} tests in 10 minutes are the most" in words(more[-1])
    assert ("send-test-mail", "template/abandoned-cart", {"language": "en"}) in await place.changes()
    for kind in (OfferClaimed, OfferSent):
        assert [one async for one in place.mesh.read(kind)] == []


async def test_what_the_mail_server_refuses_is_told(place, monkeypatch, tmp_path):
    """In its words; one that is away too; what was typed stays."""
    person = await place.come("marketer")
    fields = await form(person, **{"text:subject": "Half price"})

    async with inbox(tmp_path, refuse=lambda _: "550 5.1.1 No such mailbox") as box:
        monkeypatch.setenv("CARTMESH_SMTP_PORT", str(box.smtp_port))
        refused = await send(person, f"{PAGE}/test-mail", fields)
    away = await send(person, f"{PAGE}/test-mail", fields)
    bad = await send(person, f"{PAGE}/test-mail", {**fields, "body": "{{ coupn }}"})

    assert (refused.status_code, "550 5.1.1 No such mailbox" in words(refused)) == (502, True)
    assert ">\nHalf price</textarea>" in refused.text
    assert (away.status_code, "no mail server at 127.0.0.1" in words(away)) == (502, True)
    assert (bad.status_code, "it cannot be rendered" in words(bad)) == (422, True)


async def test_a_form_of_another_site_is_refused(place):
    """Also one that changes nothing: a preview costs."""
    person = await place.come("marketer")
    fields = await form(person)

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{place.port}") as stranger:
        unknown = await stranger.post(f"{PAGE}/preview", data=fields)
    forged = await person._client.post(f"{PAGE}/preview", data={**fields, "csrf": "0"})

    assert (unknown.status_code, forged.status_code) == (401, 403)


async def test_a_text_of_ones_own_is_added_filled_in_and_shown(place):
    """By a name that is one; while the page saves by itself, what stands in that field is not taken for a name."""
    person = await place.come("marketer")
    fields = await form(person)

    wrong = await send(person, f"{PAGE}/draft", {**fields, "add": "No name"})
    added = await send(person, f"{PAGE}/draft", {**fields, "add": "greeting"})
    fields = await form(person, **{"text:greeting": "Hello there"})
    body = fields["body"] + "{% block headline %}<mj-text>{{ say.greeting }}</mj-text>{% endblock %}"
    mail = await send(person, FRAME, {**fields, "body": body, "add": "gree"})

    assert (wrong.status_code, "“No name” is no name of a text" in words(wrong)) == (422, True)
    assert (added.status_code, "Hello there" in mail.text) == (303, True)


async def test_a_form_without_its_fields_is_refused(place):
    """As no browser sends it; nothing is stored."""
    person = await place.come("marketer")
    fields = await form(person)
    del fields["text:card.title"]

    answers = [await send(person, f"{PAGE}/{path}", fields) for path in ("draft", "preview", "frame", "test-mail")]

    assert [one.status_code for one in answers] == [422] * 4
    assert "Front matter lacks card.title" in words(answers[0])
    assert await place.draft() is None


async def test_a_second_person_looks_at_a_template(two_people, place):
    """The list says who asks; who changed it last publishes only what somebody else approved."""
    ada, grace = await place.come("publisher"), await place.come("publisher")
    await send(ada, f"{PAGE}/draft", await form(ada, **{"text:subject": "Still there?"}))
    page = (await ada.get(f"{PAGE}/review")).text
    version = re.search(r'/ask">.*?name="version" value="(\d+)"', page, re.DOTALL)[1]
    unseen = await ada.send(f"{PAGE}/publish", page=f"{PAGE}/review", version=version, revision="0")
    await ada.send(f"{PAGE}/ask", page=f"{PAGE}/review", version=version, comment="<b>Warmer</b> words")
    listed, asked = words(await grace.get("/templates")), await grace.get(f"{PAGE}/review")
    await grace.send(f"{PAGE}/approve", page=f"{PAGE}/review", version=version)
    published = await ada.send(f"{PAGE}/publish", page=f"{PAGE}/review", version=version, revision="0")

    assert "<button>Publish</button>" not in page
    assert (unseen.status_code, "ask for review of version" in words(unseen)) == (409, True)
    assert "publisher asks for review" in listed
    assert "&lt;b&gt;Warmer&lt;/b&gt; words" in asked.text
    assert published.status_code == 303
    assert [action for action, *_ in await place.changes()] == [
        "save-template-draft",
        "ask-for-draft-review",
        "approve-draft",
        "publish-template",
    ]


CODE_VIEW = ("code_view.css", "ace.js", "ext-language_tools.js", "mode-nunjucks.js", "theme-github_dark.js")
"""What the code view loads besides, once code is in sight and not on a phone; of its themes one."""
VISITED = (
    ("/overview", ()),
    ("/journeys", ()),
    ("/journeys/abandoned-cart", ()),
    ("/journeys/abandoned-cart/rehearsal", ()),
    ("/templates", ()),
    (PAGE, ()),
    (PAGE, CODE_VIEW),
    ("/blocks", ()),
    ("/experiments", ()),
    ("/decisions", ()),
    ("/suppressions", ()),
    ("/sender", ()),
)


async def test_a_first_visit_of_a_page_is_light(place):
    """All that a browser without a cache loads, gzipped: 150 kB at most, and what the code view adds is told apart."""
    ada, weights = await place.come("admin"), {}
    assets = studio_files()
    for path, more in VISITED:
        page = (await ada.get(path)).text
        linked = {
            link.rpartition("/")[2] for link in re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="([^"]+)"', page)
        }
        known = [assets.get(name) or console_files().get(name) for name in {*linked, *more}]
        weights[path, bool(more)] = len(gzip.compress(page.encode())) + sum(
            len(one.gzipped or one.plain) for one in known if one
        )
        assert linked <= {*assets, *console_files()}, path

    print(
        "\n".join(
            f"{path}{' with the code view' * code}: {weight / 1000:.0f} kB" for (path, code), weight in weights.items()
        )
    )
    assert all(10_000 < weight <= (250_000 if code else 150_000) for (_, code), weight in weights.items())


def console_files():
    """What every page of the console loads, by name."""
    return read_folder(Path(mesh_web.__file__).parent / "static")
