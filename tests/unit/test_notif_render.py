"""Rendering: every locale as it writes, and every attack on the renderer answered with a clear error."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

import notifications.render_pool
from mesh.events.cart import CartLine
from mesh.events.user import Recommendation
from mesh.money import Money
from mesh.settings import read
from notifications.order_variables import order_variables
from notifications.render_pool import RenderPool, RenderSettings, TemplateError, open_render_pool
from notifications.sample import sample, sample_order
from notifications.template_variables import Shop, confirmation_variables, template_variables
from notifications.templates import FOLDER
from notifications.templates.kind import TEMPLATES
from notifications.templates.template import template_of
from notifications.templates.trial import render_samples

pytestmark = pytest.mark.asyncio(loop_scope="module")

LEFT = datetime(2026, 11, 20, 20, 30, tzinfo=UTC)
FRONT = (FOLDER / "abandoned-cart" / "en.mjml.j2").read_text().partition("{% extends")[0]
LINE = FRONT.count("\n") + 1


SHIPPED = template_of("abandoned-cart", TEMPLATES.read_folder("")["abandoned-cart"])


def evil(body, front=FRONT):
    """A template of one file."""
    return template_of("evil", {"en.mjml.j2": front + body})


def data(locale="en", **changes):
    decided, profile = sample(locale)
    decided = msgspec.structs.replace(decided, **changes)
    return template_variables(
        decided, profile, Shop(), left_at=LEFT, unsubscribe_url="https://links.example.test/u/token"
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[RenderPool]:
    async with open_render_pool(RenderSettings()) as started:
        yield started


@pytest.mark.parametrize(
    ("locale", "subject", "money", "date"),
    [
        ("en-US", "10% off what you left in your cart", "$109.80", "November 20, 2026"),
        ("en-GB", "10% off what you left in your cart", "US$109.80", "20 November 2026"),
        ("de-DE", "10\xa0% auf Ihren Warenkorb", "109,80\xa0€", "20. November 2026"),
        ("de-AT", "10\xa0% auf Ihren Warenkorb", "€\xa0109,80", "20. November 2026"),
        ("ja-JP", "カートの商品が10%オフになります", "￥10,980", "2026年11月20日"),
        ("fr-FR", "10% off what you left in your cart", "$109.80", "November 20, 2026"),
        ("not a locale", "10% off what you left in your cart", "$109.80", "November 20, 2026"),
    ],
)
async def test_money_and_dates_are_written_as_in_the_shoppers_locale(pool, locale, subject, money, date):
    """In the nearest language there is, else in English."""
    mail = await pool.render(SHIPPED, locale, data(locale))

    assert mail.subject == " ".join(subject.split())
    assert money in mail.text
    assert date in mail.text
    assert money in unescape(mail.html)
    assert money in mail.card.body


async def test_a_filter_of_a_constant_is_applied_in_each_locale(pool):
    """And not once for all shoppers, as what a template was compiled to is kept."""
    constant = evil(
        '{% extends "layouts/offer.mjml.j2" %}', re.sub("subject = .*", 'subject = "{{ 10 | percent }}"', FRONT)
    )

    subjects = [(await pool.render(constant, locale, data(locale))).subject for locale in ("en", "en-150", "en-SE")]

    assert subjects == ["10%", "10%", "10 %"]


async def test_a_mail_has_everything_in_html_and_text_without_markup_left_over(pool):
    """Coupon, products, recommendations, both links; no MJML, no Jinja, styles inlined."""
    mail = await pool.render(SHIPPED, "en", data())

    for text in (mail.html, mail.text):
        for part in (
            "BACK-7K3Q-M9XD-2WPA",
            "Walnut desk lamp",
            "Brass pen tray",
            "https://links.example.test/u/token",
        ):
            assert part in text
    assert not re.search(r"<mj-|\{\{|\{%", mail.html)
    assert not re.search(r"<link|@import|fonts\.", mail.html), "a mail that is opened tells no foreign host"
    assert "<" not in mail.text
    assert "<" not in mail.card.body


async def test_links_to_the_shop_name_the_offer_and_others_do_not(pool, monkeypatch):
    """The cart, its lines and recommended products, each with its place; no address, name or visitor in any link."""
    monkeypatch.setenv("CARTMESH_SHOP_URL", "https://shop.example")
    decided, profile = sample("en")
    first, second, third = decided.recommended
    urls = ("https://shop.example/p2?colour=red#top", "https://elsewhere.example/p3", "https://shop.example/p4")
    recommended = [msgspec.structs.replace(one, url=url) for one, url in zip((first, second, third), urls, strict=True)]
    dotted = msgspec.structs.replace(decided.lines[0], url="https://shop.example/p0")
    offer = msgspec.structs.replace(decided, cart_id="c1", offer_id="o1", lines=(dotted,), recommended=recommended)

    made = template_variables(
        offer, profile, read(Shop), left_at=LEFT, unsubscribe_url="https://links.example.test/u/token"
    )
    mail = await pool.render(SHIPPED, "en", made)

    links = set(re.findall(r'href="([^"]+)"', unescape(mail.html)))
    assert links == {
        "https://shop.example/cart/c1?offer=o1&coupon=BACK-7K3Q-M9XD-2WPA&cartmesh=email.o1.c1",
        "https://shop.example/p0?cartmesh=email.o1.c1",
        "https://shop.example/p2?colour=red&cartmesh=email.o1.c1.1.p2#top",
        "https://elsewhere.example/p3",
        "https://shop.example/p4?cartmesh=email.o1.c1.3.p4",
        "https://links.example.test/u/token",
    }


@pytest.mark.parametrize(
    ("locale", "why", "words"),
    [
        (
            "en",
            {"kind": "together", "with_product": "Oak & Co", "shoppers": 41},
            "41 shoppers looked at it together with Oak & Co",
        ),
        (
            "en",
            {"kind": "together", "with_product": "Oak & Co", "shoppers": 1},
            "1 shopper looked at it together with Oak & Co",
        ),
        (
            "de",
            {"kind": "together", "with_product": "Eiche", "shoppers": 2},
            "2 Personen haben es zusammen mit Eiche angesehen",
        ),
        ("ja", {"kind": "together", "with_product": "樫", "shoppers": 41}, "41人が「樫」と一緒に見ています"),
        ("en", {"kind": "next", "with_product": "Oak & Co"}, "Often looked at after Oak & Co"),
        ("en", {"kind": "seen"}, "You looked at it before"),
        ("de", {"kind": "category"}, "Beliebt in seiner Kategorie"),
        ("en", {"kind": "popular"}, "A favourite at Cartmesh Shop"),
    ],
)
async def test_a_recommended_product_says_why_in_the_shoppers_language(pool, locale, why, words):
    """The kind of reason is said in the words of the template's language, in HTML and in text."""
    one = Recommendation(
        product_id="p", reason="in English", name="Pen", price=Money(amount=100, currency="EUR"), **why
    )

    mail = await pool.render(SHIPPED, locale, data(locale, recommended=(one,)))

    assert words in mail.text
    assert words in unescape(mail.html)
    assert "in English" not in mail.html


@pytest.mark.parametrize(
    "why", [{}, {"kind": "together"}, {"kind": "together", "with_product": "Oak"}, {"kind": "next"}]
)
async def test_a_reason_of_which_too_little_is_known_is_left_out(pool, why):
    """Where the other product has no name, or an older event has no kind, the product stands without a reason."""
    one = Recommendation(
        product_id="p", reason="in English", name="Pen", price=Money(amount=100, currency="EUR"), **why
    )

    mail = await pool.render(SHIPPED, "en", data(recommended=(one,)))

    assert "- Pen: €1.00\n" in mail.text
    assert "looked at" not in mail.html


GMAIL_CUTS = 102_000
"""Bytes of HTML."""


@pytest.mark.parametrize("locale", ["en", "de", "ja"])
async def test_a_mail_shows_twenty_lines_of_a_large_cart_and_how_many_more(pool, locale):
    """The sum, and the number of things, are those of the whole cart; the rest is counted."""
    lines = tuple(
        CartLine(product_id=f"p{at}", quantity=1, price=Money(amount=1000, currency="EUR"), name=f"Thing {at}")
        for at in range(100)
    )
    total = Money(amount=100_000, currency="EUR")
    more = {"en": "and 80 more", "de": "und 80 weitere", "ja": "ほか80点"}[locale]

    mail = await pool.render(SHIPPED, locale, data(locale, lines=lines, total=total, recommended=()))

    for text in (mail.html, mail.text):
        assert text.count("Thing ") - text.count("Thing 0") == 19
        assert "Thing 20" not in text
        assert more in text
        assert "https://links.example.test/u/token" in text
    assert "99" in mail.card.body
    assert re.search("1[,.]?000|10[,.]?0000?", mail.text)
    assert len(mail.html.encode()) < GMAIL_CUTS


async def test_a_mail_of_the_longest_lines_is_not_cut_off(pool):
    """Of fields as long as the gateway takes them fewer lines are shown, so that the link to unsubscribe is in it."""
    address = f"https://shop.example.test/{'a' * 2000}"
    lines = tuple(
        CartLine(
            product_id=f"p{at}",
            quantity=999,
            price=Money(amount=123_456, currency="EUR"),
            name="\N{HIRAGANA LETTER A}" * 512,
            url=address,
            image=address,
        )
        for at in range(100)
    )
    total = Money(amount=12_345_600, currency="EUR")

    mail = await pool.render(SHIPPED, "en", data(lines=lines, total=total))

    shown = mail.html.count(f'src="{address}"')
    assert 1 <= shown < 20
    assert len(mail.html.encode()) < GMAIL_CUTS
    assert f"and {100 - shown} more" in mail.html
    assert "https://links.example.test/u/token" in mail.html


async def test_a_template_without_words_for_more_lines_still_counts_them(pool):
    """Templates that were written before carts were shortened need no change."""
    older = template_of(
        "older", {name: re.sub("(?m)^more = .*\n", "", text) for name, text in dict(SHIPPED.files).items()}
    )
    decided, _ = sample("en")

    mail = await pool.render(older, "en", data(lines=decided.lines[:1] * 21))

    assert "+ 1" in mail.text
    assert "+ 1" in mail.html


@pytest.mark.parametrize("name", ["", "  ", "\t\n", "\u200b", "\u3000", "-", None])
@pytest.mark.parametrize(
    ("locale", "headline"), [("en", "Still thinking"), ("de", "Noch unentschlossen"), ("ja", "ご検討中")]
)
async def test_a_blank_name_is_none(pool, locale, headline, name):
    """Nobody is greeted with a comma."""
    decided, profile = sample(locale)
    profile = msgspec.structs.replace(profile, name=name)
    values = template_variables(decided, profile, Shop(), left_at=LEFT, unsubscribe_url="https://links.example.test/u")

    mail = await pool.render(SHIPPED, locale, values)

    assert mail.text.startswith(headline)


async def test_the_footer_names_the_sender_and_the_postal_address(pool):
    """In HTML and text; a shop that has set none has no empty line."""
    decided, profile = sample("en")
    shop = Shop(shop_name="Haru & Linde", shop_address="Teeweg 1, 20095 Hamburg, Germany")
    values = template_variables(decided, profile, shop, left_at=LEFT, unsubscribe_url="https://links.example.test/u")

    mail = await pool.render(SHIPPED, "en", values)

    assert mail.text.endswith("Haru & Linde, Teeweg 1, 20095 Hamburg, Germany\n")
    assert "Haru & Linde, Teeweg 1, 20095 Hamburg, Germany" in unescape(mail.html)
    assert (await pool.render(SHIPPED, "en", data())).text.endswith("https://links.example.test/u/token\n")


async def test_an_offer_without_discount_is_a_plain_reminder(pool):
    """No coupon box, no reduced total, another subject."""
    mail = await pool.render(SHIPPED, "en", data(coupon=None, discount_percent=0, recommended=()))

    assert mail.subject == "You left something in your cart"
    assert "code" not in mail.text
    assert "Goes well" not in mail.html


async def test_what_a_storefront_sent_cannot_become_markup_or_code(pool):
    """Names are escaped, and only web addresses become links."""
    price = Money(amount=100, currency="EUR")
    line = CartLine(
        product_id="p",
        quantity=1,
        price=price,
        name='<script>alert(1)</script>{{ 7 * 7 }}"><mj-raw>',
        url="javascript:alert(1)",
        image="data:text/html,x",
    )

    mail = await pool.render(SHIPPED, "en", data(lines=(line,)))

    assert "<script>alert" not in mail.html
    assert "javascript:" not in mail.html
    assert "data:text" not in mail.html
    assert "{{ 7 * 7 }}" in mail.text


ATTACKS = {
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}": "too long",
    "{{ 'a' * 10**9 }}": "powers are not for mails",
    "{{ 'a' * 1000000000 }}": "more memory",
    "{{ 'x' | center(10000000000) }}": "more memory",
    "{{ ('%' ~ '9' * 9 ~ 'd') % 1 }}": "more memory",
    "{{ 'a' * 1000000 }}": "1,000,0",
    "{{ range(1000000000) | list }}": "Range too big",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}": "__class__",
    "{{ lines.append(1) }}": "append",
    "{{ say.__init__.__globals__ }}": "__init__",
    "{{ nope }}": "'nope' is undefined",
    "{% include 'evil/en.mjml.j2' %}": "includes itself",
    "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}": "includes itself or calls itself",
    "{% include '../../etc/passwd' %}": "not there",
    "{% for %}": "Expected an expression",
}


@pytest.mark.parametrize(("body", "words"), ATTACKS.items(), ids=lambda value: value[:30])
async def test_an_attack_names_template_line_and_reason_and_the_next_mail_is_fine(pool, body, words):
    """The same press goes on printing."""
    with pytest.raises(TemplateError) as raised:
        await pool.render(evil(body), "en", data())
    mail = await pool.render(evil("{% extends 'layouts/offer.mjml.j2' %}"), "en", data())

    assert words in raised.value.why
    assert raised.value.where.startswith("evil/en.mjml.j2")
    if "1,000,0" not in words:
        assert raised.value.where == f"evil/en.mjml.j2 line {LINE}"
    assert mail.subject.startswith("10%")


@pytest.mark.parametrize(
    ("front", "body", "words"),
    [
        ("", "<mjml/>", "begin with front matter"),
        ('+++\nsubject = "s"\n+++\n', "", "lacks preheader, card.title"),
        ("+++\nsubject = s\n+++\n", "", "line 2"),
        (FRONT, "<mjml><mj-body>", "not well formed"),
        (FRONT, "<mjml><mj-body><mj-carousel2/></mj-body></mjml>", "no MJML element"),
        (FRONT, '<mjml><mj-body><mj-include path="/etc/passwd" /></mj-body></mjml>', "not well formed"),
        (FRONT.replace('total = "Total"', 'total = "{{ oops }}"'), "", "[total]"),
    ],
)
async def test_a_faulty_template_is_refused_with_what_to_change(pool, front, body, words):
    """Front matter, MJML and words each have their errors."""
    with pytest.raises(TemplateError) as raised:
        await pool.render(evil(body, front), "en", data())

    assert words in str(raised.value)


async def test_what_was_found_endless_costs_its_time_once(pool):
    """A hundred offers with it do not keep other mails waiting; a mended text is tried."""
    endless = evil("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}")
    jobs = [pool.render(endless, "en", data()) for _ in range(2)]
    await asyncio.gather(*jobs, return_exceptions=True)
    spent = _cpu(pool)

    with pytest.raises(TemplateError, match="too long"):
        await pool.render(endless, "en", data())

    assert _cpu(pool) == spent
    mended = evil("{% extends 'layouts/offer.mjml.j2' %}")
    assert (await pool.render(mended, "en", data())).subject.startswith("10%")


def _cpu(pool):
    (worker,) = pool._all
    return Path(f"/proc/{worker.pid}/stat").read_text().split()[13]


async def test_a_killed_worker_is_replaced(pool):
    """Not even one mail is lost by it."""
    (worker,) = pool._all
    os.kill(worker.pid, signal.SIGKILL)

    mails = await asyncio.gather(*(pool.render(SHIPPED, "en", data()) for _ in range(3)))

    assert all(mail.subject.startswith("10%") for mail in mails)
    assert len(pool._all) == 1


async def test_a_template_that_takes_its_worker_down_twice_is_refused(pool, monkeypatch):
    """Whoever dies of the same job twice dies of the job; the press goes on."""
    write = notifications.render_pool._write
    evil = [b'"ja"']

    async def write_and_kill(worker, body):
        if evil[0] in body:
            worker.kill()
        await write(worker, body)

    monkeypatch.setattr(notifications.render_pool, "_write", write_and_kill)

    with pytest.raises(TemplateError, match="takes its worker down"):
        await pool.render(SHIPPED, "ja", data("ja"))

    assert (await pool.render(SHIPPED, "en", data())).locale == "en"


async def test_a_mail_that_was_given_up_does_not_answer_for_the_next(pool):
    """Cancelled half way: the next one gets its own mail, not that one's."""
    task = asyncio.create_task(pool.render(SHIPPED, "ja", data("ja")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    mail = await pool.render(SHIPPED, "en", data())

    assert mail.locale == "en"


async def test_workers_know_no_secrets(monkeypatch):
    """Their environment holds nothing of ours."""
    monkeypatch.setenv("CARTMESH_SECRET", "very secret")
    async with open_render_pool(RenderSettings()) as started:
        (worker,) = started._all
        with open(f"/proc/{worker.pid}/environ", "rb") as environment:  # noqa: ASYNC230, PTH123  a few bytes of proc
            assert b"very secret" not in environment.read()


async def test_a_worker_starts_without_the_client_of_nats():
    """It begins with what renders alone: half of its start would be the mesh, of which it uses nothing."""
    code = (
        "import io, sys, notifications.render_worker as worker\n"
        "worker.main(1.0, 2**40, io.BytesIO(), io.BytesIO())\n"
        "print(*sorted({'mesh.mesh', 'nats', 'prometheus_client', 'structlog'} & set(sys.modules)))"
    )

    started = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    printed, _ = await asyncio.wait_for(started.communicate(), 100)

    assert (started.returncode, printed) == (0, b"\n")


@pytest.mark.parametrize(
    ("locale", "subject"),
    [
        ("en-GB", "May Cartmesh Shop write to you?"),
        ("de-AT", "Darf Cartmesh Shop Ihnen schreiben?"),
        ("ja-JP", "Cartmesh Shopからのメールを受け取りますか"),
    ],
)
async def test_the_mail_that_asks_to_confirm_is_a_template_of_its_own(pool, locale, subject):
    """In each language, with the link in both parts; no text of an offer, and no card."""
    template = template_of("confirm-address", TEMPLATES.read_folder("")["confirm-address"])

    mail = await pool.render(
        template, locale, confirmation_variables(Shop(shop_address="Teeweg 1"), "https://l.test/c")
    )

    assert mail.subject == subject
    assert "https://l.test/c" in mail.text
    assert 'href="https://l.test/c"' in mail.html
    assert "Teeweg 1" in mail.text
    assert mail.card.title == ""


async def test_a_template_says_what_it_is_for_in_words_that_there_are(pool):
    """A misspelt kind is an error with its place, and no offer."""
    with pytest.raises(TemplateError, match="kind = 'confirm': there is offer, confirmation, order"):
        await pool.render(evil("", front=FRONT.replace("+++\n", '+++\nkind = "confirm"\n', 1)), "en", data())


ORDER_MAILS = ["order-confirmed", "order-cancelled", "order-shipped", "order-delivered", "order-refunded"]


@pytest.mark.parametrize("name", ORDER_MAILS)
async def test_mails_about_orders_are_templates_that_may_be_published(pool, name):
    """In every language, for every reason, with the shop's postal address and no link to unsubscribe."""
    template = template_of(name, TEMPLATES.read_folder("")[name])

    await render_samples(template, pool)

    assert template.locales == ["de", "en", "ja"]
    order = sample_order(sample("en"))
    data = order_variables(order, Shop(shop_address="Teeweg 1", shop_url="https://shop.test"), lines=order.lines)
    mail = await pool.render(template, "en", data)
    assert "Teeweg 1" in mail.text
    assert "Teeweg 1" in mail.html
    assert "3F9C1D2E" in mail.html
    assert "nsubscribe" not in mail.html + mail.text
    assert "See your order" not in mail.html + mail.text


@pytest.mark.parametrize("locale", ["de", "en", "ja"])
@pytest.mark.parametrize("name", ORDER_MAILS)
async def test_a_mail_about_an_order_leads_to_it_and_to_its_parcel(pool, name, locale):
    """To the shop's page of the order where the shop names one; where it was shipped, to the carrier's page."""
    template = template_of(name, TEMPLATES.read_folder("")[name])
    order = sample_order(sample(locale))
    shop = Shop(shop_url="https://shop.test/", shop_order_path="/{language}/mine/{order_id}?from=mail&x=1")

    data = order_variables(order, shop, lines=order.lines, tracking_url="https://dhl.test/t?a=1&b=2")
    mail = await pool.render(template, locale, data)

    links = {f"https://shop.test/{locale}/mine/{order.order_id}?from=mail&x=1"}
    links |= {"https://dhl.test/t?a=1&b=2"} if name == "order-shipped" else set()
    products = {line.url for line in order.lines}
    assert {unescape(found) for found in re.findall('<a[^>]+href="([^"]+)"', mail.html)} - products == links
    assert set(re.findall(r"https://\S+", mail.text)) == links


@pytest.mark.parametrize("statement", ["{% set told = 'x' %}", "{% macro told() %}x{% endmacro %}"])
async def test_what_a_text_sets_is_not_known_to_others(pool, statement):
    """Texts share their values, which none of them changes."""
    front = FRONT.replace('total = "Total"', f'total = "{statement}Total"').replace(
        'reduced = "With your code"', 'reduced = "{{ told }}"'
    )

    with pytest.raises(TemplateError, match=r"\[reduced\] line 1: 'told' is undefined"):
        await pool.render(evil('{% extends "layouts/offer.mjml.j2" %}', front), "en", data())


async def test_the_texts_of_a_template_are_sent_once_to_each_worker(pool, monkeypatch):
    """And again where the worker was replaced, or forgot them for others."""
    own = evil('{% extends "layouts/offer.mjml.j2" %}', FRONT.replace("Total", "Sum of it all"))
    write, sent = notifications.render_pool._write, []

    async def note(worker, body):
        sent.append(b"Sum of it all" in body)
        await write(worker, body)

    monkeypatch.setattr(notifications.render_pool, "_write", note)

    first, second = [(await pool.render(own, "en", data())).text for _ in range(2)]
    assert sent == [False, True, False]
    (worker,) = pool._all
    worker.kill()
    await worker.wait()
    third = (await pool.render(own, "en", data())).text

    assert sent[3:] == [False, True]
    assert "Sum of it all" in first
    assert first == second == third
