"""What the studio says about a mail: each fault at its place, and nothing about a mail without one."""

from typing import get_args

import msgspec
import pytest
import pytest_asyncio

from notifications.blocks.block import Code, encode
from notifications.blocks.findings import with_blocks
from notifications.client_support.reduced import reduced, written
from notifications.client_support.support import Feature, Table
from notifications.findings import Finding
from notifications.render_pool import RenderSettings, TemplateError, open_render_pool
from notifications.sample import sample
from notifications.template_checks import check, refusal
from notifications.template_filters import filters, locale_of
from notifications.template_vocabulary import VARIABLES, own_filters
from notifications.templates.front_matter import NEEDED, OFFER
from notifications.templates.shipped import shipped_template
from notifications.templates.template import template_of
from notifications.templates.texts import source_of, texts_of
from notifications.templates.trial import (
    UNSUBSCRIBE,
    Cause,
    SampleChoice,
    choices,
    chosen_variables,
    kind_of,
    with_short_links,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
FILE = "sale/en.mjml.j2"
FOOT = '<mj-text><a href="{{ unsubscribe_url }}">No more</a></mj-text>'
SHIPPED = {name: dict(shipped_template(name).files)["en.mjml.j2"] for name in ("abandoned-cart", "order-shipped")}
OFFER_TEXTS, ORDER_TEXTS = (texts_of(source, name).front for name, source in SHIPPED.items())
FRONT = {**OFFER_TEXTS, "subject": "Still there"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool():
    async with open_render_pool(RenderSettings(), when_needed=True) as opened:
        yield opened


@pytest.fixture
def findings(pool):
    """Render a body, and say what is found: level, text, line and words."""

    async def found(content, *, foot=FOOT, choice=None, without="", base=FRONT, **front):
        body = f"<mjml><mj-body><mj-section><mj-column>\n{content}\n{foot}\n</mj-column></mj-section></mj-body></mjml>"
        source = source_of({key: text for key, text in {**base, **front}.items() if key != without}, body)
        template, texts = template_of("sale", {"en.mjml.j2": source}), texts_of(source, FILE)
        kind = kind_of(template)
        try:
            rendered = await pool.render(
                template, "en", with_short_links(chosen_variables(template, "en", choice or SampleChoice()))
            )
        except TemplateError as error:
            return [refusal(error, texts, FILE, kind=kind)]
        return check(rendered, texts, kind=kind, unsubscribe_url=UNSUBSCRIBE)

    return found


async def test_a_mail_without_a_fault_has_no_finding(findings):
    """Also with a picture that is described, and a link by mail."""
    body = '<mj-image src="https://x.test/a.png" alt="A lamp" /><mj-button href="mailto:a@x.test">Ask</mj-button>'

    assert await findings(body) == []


async def test_every_template_that_comes_with_cartmesh_has_no_error(pool):
    """In every language, with every sample."""
    for name in ("abandoned-cart", "confirm-address", "order-cancelled", "order-shipped"):
        template = shipped_template(name)
        for locale in template.locales:
            texts = texts_of(dict(template.files)[f"{locale}.mjml.j2"], name)
            for choice in choices(kind_of(template)):
                rendered = await pool.render(
                    template, locale, with_short_links(chosen_variables(template, locale, choice))
                )
                found = check(rendered, texts, kind=kind_of(template), unsubscribe_url=UNSUBSCRIBE)
                assert [one for one in found if one.level != "hint"] == [], (name, locale, choice)


@pytest.mark.parametrize(
    ("written", "line", "words"),
    [
        ("<mj-text>\n{{ coupn }}</mj-text>", 3, "'coupn' is undefined: check the name, or write"),
        ("<mj-text>\n{{ coupn }}</mj-text>", 3, "Did you mean coupon?"),
        ("<mj-text>{{ customer.nam }}</mj-text>", 2, "Did you mean name?"),
        ("<mj-text>{{ total | mony }}</mj-text>", 2, "Did you mean money?"),
        ("{% for line in lines %}", 3, "Unexpected end of template"),
        ("{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}", 2, "it takes too long"),
        ("<mj-text>{{ ''.__class__.__mro__ }}</mj-text>", 2, "templates may not reach behind values"),
        ("<mj-text>{{ 'x' * 1000000000 }}</mj-text>", 2, "it needs more memory than a mail may"),
        ("<mj-text>{{ 'x' * 500000 }}</mj-text>", None, "it makes 500,"),
    ],
)
async def test_what_cannot_be_rendered_is_told_with_its_line_of_the_body(findings, written, line, words):
    """Counted in the body, as the editor shows it, with the nearest name where one is unknown."""
    (found,) = await findings(written)

    assert (found.level, found.text, found.line) == ("error", "body" if found.text == "body" else "mail", line)
    assert words in found.words


async def test_a_fault_in_a_text_is_told_at_that_text(findings):
    """By its name in the front matter."""
    (found,) = await findings("", subject="{{ custmer.name }}")

    assert (found.level, found.text, found.line) == ("error", "subject", 1)
    assert found.words.endswith("Did you mean customer?")


async def test_a_text_that_the_layout_shows_and_that_is_missing_is_told_by_its_name(findings):
    """Such as the headline, which the plain text of every offer begins with."""
    (found,) = await findings("", without="headline")

    assert (found.level, found.text, found.words) == (
        "error",
        "headline",
        "This text is missing, and layouts/offer.txt.j2 line 1 shows it.",
    )


async def test_a_long_subject_is_a_hint_and_an_empty_one_an_error(findings):
    """A telephone shows about 60 characters; nothing is said of 60."""
    assert await findings("", subject="s" * 60) == []
    (long,) = await findings("", subject="s" * 61)
    (empty,) = await findings("", subject="{% if not coupon %}x{% endif %}")

    assert (long.level, long.text, "61 characters" in long.words) == ("hint", "subject", True)
    assert (empty.level, empty.text) == ("error", "subject")


async def test_a_mail_that_gmail_cuts_off_is_an_error(findings):
    """Above 80 kB it is a warning, as lines of the cart are left out."""
    (large,) = await findings(f"<mj-text>{'x' * 85_000}</mj-text>")
    (clipped,) = await findings(f"<mj-text>{'x' * 110_000}</mj-text>")

    assert (large.level, "above 80 kB" in large.words) == ("warning", True)
    assert (clipped.level, "cuts mails off behind 102 kB" in clipped.words) == ("error", True)


async def test_style_that_gmail_drops_is_a_warning(findings):
    """Past 16 kB."""
    rules = "\n".join(f".a{n} {{ color: red; }}" for n in range(1000))
    body = f"</mj-column></mj-section></mj-body><mj-head><mj-style>{rules}</mj-style></mj-head><mj-body>"

    (found,) = await findings(f"{body}<mj-section><mj-column>")

    assert (found.level, "of <style>" in found.words) == ("warning", True)


async def test_an_offer_without_a_link_to_unsubscribe_is_an_error(findings):
    """A mail about an order needs none."""
    (found,) = await findings("", foot="")

    assert (found.level, "no link to unsubscribe" in found.words) == ("error", True)
    assert await findings("", foot="", base=ORDER_TEXTS) == []


@pytest.mark.parametrize("address", ["", "#", "shop/cart", "javascript:alert(1)"])
async def test_a_link_that_leads_nowhere_is_an_error_at_its_line(findings, address):
    """An empty one, one within the mail, and one that is no address."""
    (found,) = await findings(f'<mj-text>\n\n<a href="{address}">Go</a></mj-text>')

    assert (found.level, found.text, found.line) == ("error", "body", 4)
    assert f"“{address}” leads nowhere" in found.words


async def test_a_picture_without_a_text_is_a_warning_at_its_line(findings):
    """One with an empty text only decorates."""
    (found,) = await findings(
        '\n<mj-image src="https://x.test/a.png" />\n<mj-image src="https://x.test/b.png" alt="" />'
    )

    assert (found.level, found.text, found.line) == ("warning", "body", 3)


async def test_a_fault_in_another_file_names_that_file():
    """Such as a layout that the template has of its own."""
    error = TemplateError("layouts/own.mjml.j2 line 7", "'coupn' is undefined")

    found = refusal(error, texts_of(source_of(FRONT, ""), FILE), FILE, kind=OFFER)

    words = "layouts/own.mjml.j2 line 7: 'coupn' is undefined. Did you mean coupon?"
    assert found == Finding(level="error", text="mail", words=words)


@pytest.mark.parametrize("name", ["abandoned-cart", "order-cancelled", "confirm-address"])
async def test_the_vocabulary_is_what_templates_are_given(name):
    """Every name with its words, none that there is not."""
    template = shipped_template(name)
    given = {"language", "line_count", "more_lines"}
    for key, value in chosen_variables(template, "en", SampleChoice()).items():
        if isinstance(value, list):
            given |= {key} | {f"line.{part}" for one in value for part in one}
        elif isinstance(value, dict) and "amount" not in value:
            given |= {f"{key}.{part}" for part in value}
        else:
            given.add(key)

    assert {one.name for one in VARIABLES[kind_of(template)]} == given
    assert set(own_filters()) == set(filters(locale_of("en", "en"), None))
    assert all(own_filters().values())


async def test_every_kind_has_its_vocabulary_and_its_samples():
    """A kind that is added needs both."""
    assert set(VARIABLES) == set(NEEDED)
    assert {one.cause for one in choices("order")} == set(get_args(Cause))


async def test_a_cart_of_many_lines_is_a_sample():
    """Larger than what a mail shows, and of one line."""
    template = shipped_template("abandoned-cart")

    counts = {len(chosen_variables(template, "en", one)["lines"]) for one in choices(OFFER)}

    assert counts == {1, len(sample("en")[0].lines), 30}


async def test_a_template_of_all_its_texts_is_the_file_that_it_was():
    """What a form shows and saves unchanged is no difference."""
    for name in ("abandoned-cart", "confirm-address", "order-shipped"):
        for _, source in shipped_template(name).files:
            texts = texts_of(source, name)
            assert source_of(texts.front, texts.body) == source
            assert source.split("\n")[texts.body_line - 1] == texts.body.split("\n")[0]


@pytest.mark.parametrize(
    "text", ['quotes " and \\', "two\nlines", "+++", "a\n+++\nb", "\x7f\t\x00 ü 佐藤 😀", "[card]"]
)
async def test_any_text_survives_the_form(text):
    """Whatever signs are in it."""
    texts = texts_of(source_of({**FRONT, "headline": text}, text), FILE)

    assert (texts.front["headline"], texts.body) == (text, text)


async def test_what_a_mail_program_does_not_understand_is_told_with_its_line_and_the_programs(findings):
    """By the data of caniemail.com, as they are kept here; what layouts write is not told, and plain words neither."""
    button = "<mj-button href='{{ cart_url }}' border-radius='4px'>Buy</mj-button>"

    (found,) = await findings(f"<mj-text>\nfloat: no {{# <video> #}}</mj-text>\n{button}")

    words = "border-radius is not supported by Outlook 2007-19 (Windows), Windows Mail, GMX (web) and WEB.DE (web)."
    assert found == Finding(level="warning", text="body", line=4, words=words)
    flex = await findings("<mj-text><div style='display: flex'>a</div>\n<video></video></mj-text>")
    assert {(one.line, one.words.partition(" is")[0]) for one in flex} == {
        (2, "display:flex"),
        (3, "<video> element"),
    }


async def test_a_block_of_code_is_told_the_same():
    """By the block and its field."""
    blocks = (Code(id="b7", mjml="<mj-text>\n<p style='opacity: 0.5'>a</p></mj-text>"),)

    (found,) = with_blocks([], encode(blocks))

    assert (found.level, found.text, found.line) == ("warning", "b7.mjml", 2)
    assert found.words.startswith("opacity is not supported by ")


async def test_the_table_is_what_is_left_of_the_data():
    """The newest version that was tested decides; of Outlook for Windows each version that companies still have."""
    families = {"gmail": "Gmail", "outlook": "Outlook"}
    stats = {
        "gmail": {"ios": {"2019-02": "n", "2021-02": "a #1"}, "android": {"2019-02": "y", "2021-02": "n #2"}},
        "outlook": {"windows": {"2003": "n", "2013": "n", "2019": "n #1", "2021": "y"}},
        "rainloop": {"desktop-webmail": {"2020-01": "n"}},
    }
    data = [{"slug": slug, "title": slug, "stats": stats} for slug in ("css-opacity", "css-unknown")]

    made = reduced({"nicenames": {"family": families}, "last_update_date": "2025-09-09 18:08:06", "data": data})

    missing = ("Gmail (Android)", "Outlook 2013-19 (Windows)")
    assert made == Table(updated="2025-09-09", features={"css-opacity": Feature(title="css-opacity", missing=missing)})
    assert msgspec.json.decode(written(made), type=Table) == made
