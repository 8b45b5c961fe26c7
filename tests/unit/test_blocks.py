"""Blocks: every list becomes a mail, nothing typed becomes markup, and moving one loses none."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import DeclarationError
from notifications.blocks import compiled as compiling
from notifications.blocks.as_code import as_code
from notifications.blocks.beginnings import STARTS, beginning, start
from notifications.blocks.block import (
    TYPES,
    Button,
    Code,
    Columns,
    Divider,
    Footer,
    Heading,
    Image,
    Paragraphs,
    Shared,
    decode,
    each,
    encode,
)
from notifications.blocks.moving import added, flat, moved, nest, removed
from notifications.sample import sample
from notifications.studio.template_pages.block_differences import block_sentences
from notifications.template_renderer import TemplateRenderer
from notifications.template_variables import Shop, template_variables
from notifications.templates.front_matter import NEEDED, OFFER
from notifications.templates.kind import TEMPLATES
from notifications.templates.render_error import RenderError
from notifications.templates.template import template_of
from notifications.templates.trial import choices, chosen_variables, kind_of

FRONT = start("empty")["en.mjml.j2"]
HOSTILE = (
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "'><img src=x onerror=alert(1)>",
    "</mj-text></mj-column></mj-section><mj-raw>",
    "</td></tr></table>",
    "]]>",
    "&lt;b&gt; &amp;amp;",
    "[words](javascript:alert(1))",
    '[w](https://e.test/"onclick="x)',
    "[words]({{ customer.name }})",
    "{{ shop.name }}",
    "{{ '<script>' }}",
    "{{",
    "}}",
    "{% if",
    "{% endif %}",
    "{% for x in lines %}",
    "{# ",
    "{% raw %}",
    "{% extends 'layouts/offer.mjml.j2' %}",
    "\ue000a\ue001https://e.test\ue002",
    "\x00\x08",
    "\n\n",
    "5 < 6 & 7 > 2",
    "ü 日本語 👍",
)
WORDS = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=12), max_size=4).map("".join)
BENIGN = st.sampled_from(
    ("5 < 6 & 7", "Hello {{ customer.name }}", "a\nb", "[go]({{ cart_url }}) now", "[x](https://e.test/?a=1&b=2)", "")
)
LINKS = st.sampled_from(("{{ cart_url }}", "https://e.test/?a=1&b=2", "nowhere", ""))
SIMPLE = tuple(
    kind
    for kind in TYPES.values()
    if kind.__struct_config__.tag not in ("columns", "header", "footer", "shared", "mjml")
)


def simple(texts):
    """A block with any texts, and an id that is set later."""
    return st.sampled_from(SIMPLE).flatmap(lambda kind: _of(kind, texts))


def _of(kind, texts):
    fields = [field.name for field in msgspec.structs.fields(kind) if field.type is str and field.name != "id"]
    written = {name: LINKS if texts is BENIGN and name in ("href", "src") else texts for name in fields}
    return st.fixed_dictionaries(written).map(lambda values: kind(id="b0", **values))


def lists(texts):
    """Lists of blocks with columns among them, each with an id of its own."""
    columns = st.lists(st.lists(simple(texts), max_size=2).map(tuple), min_size=1, max_size=3).map(
        lambda made: Columns(id="b0", columns=tuple(made))
    )
    outer = simple(texts) | columns | _of(TYPES["header"], texts) | _of(TYPES["footer"], texts)
    return st.lists(outer, max_size=6).map(numbered)


def numbered(blocks):
    """The same with ids b1, b2, ..."""
    count = 0

    def name(block):
        nonlocal count
        count += 1
        own = msgspec.structs.replace(block, id=f"b{count}")
        if isinstance(own, Columns):
            own = msgspec.structs.replace(
                own, columns=tuple(tuple(name(one) for one in column) for column in own.columns)
            )
        return own

    return tuple(name(block) for block in blocks)


def template(*blocks, **files):
    """A template whose body is these blocks."""
    more = {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}
    return template_of("mail", {"en.mjml.j2": FRONT, "en.blocks.json": encode(blocks), **more})


def data(name="Ada"):
    """What an offer's template is given."""
    decided, profile = sample("en")
    profile = msgspec.structs.replace(profile, name=name)
    left = datetime(2026, 11, 20, tzinfo=UTC)
    return template_variables(decided, profile, Shop(), left_at=left, unsubscribe_url="https://links.test/u")


def mail(*blocks, name="Ada", **files):
    """The mail that these blocks make."""
    return TemplateRenderer(template(*blocks, **files)).render("en", data(name))


def tried(*blocks):
    """The mail, or None and where its error is."""
    try:
        return mail(*blocks), ""
    except RenderError as error:
        return None, error.where


class Page(HTMLParser):
    """The elements, attributes and words of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.words = set(), [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.parametrize("tag", [tag for tag in TYPES if tag != "shared"])
@pytest.mark.parametrize("kind", sorted(NEEDED))
def test_every_block_is_a_mail_as_it_begins(tag, kind):
    """Alone, for every purpose that it is offered for; no MJML and no Jinja is left over."""
    from notifications.studio.template_pages.block_fields import ADDED

    if tag not in ADDED[kind]:
        return
    front = FRONT if kind == OFFER else f'+++\nkind = "{kind}"\nsubject = "s"\npreheader = "p"\n+++\n'
    made = template_of("mail", {"en.mjml.j2": front, "en.blocks.json": encode((beginning(tag, 1, kind),))})
    for choice in choices(kind):
        found = TemplateRenderer(made).render("en", chosen_variables(made, "en", choice))
        assert not re.search(r"<mj-|\{\{|\{%|written", found["html"] + found["text"])


@pytest.mark.parametrize("name", STARTS)
def test_every_beginning_is_a_template(name):
    """It is valid, and can be rendered with every sample."""
    files = start(name)
    TEMPLATES.check("mail", files)
    made = template_of("mail", files)

    for choice in choices(kind_of(made)):
        assert TemplateRenderer(made).render("en", chosen_variables(made, "en", choice))["html"]


@settings(max_examples=60)
@given(lists(WORDS))
def test_nothing_that_is_typed_becomes_markup(blocks):
    """No element, attribute or address that no block makes; or an error that names the block and its field."""
    found, where = tried(*blocks)
    if found is None:
        assert re.fullmatch(r"mail/en\.blocks\.json \[b\d+\.\w+\]( line \d+)?", where)
        return

    page = Page(found["html"])
    assert not page.tags & {"script", "img onerror", "iframe", "object", "mj-raw"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    addresses = [value for name, value in page.attributes if name in ("href", "src")]
    assert [one for one in addresses if not re.match(r"https?://|mailto:|tel:|sms:|#b\d+\.\w+$|$", one or "")] == []


@settings(max_examples=25)
@given(lists(BENIGN))
def test_code_says_what_the_blocks_said(blocks):
    """The same HTML, but for links that lead nowhere, and the same plain text."""
    files = dict(template(*blocks).files)

    coded = TemplateRenderer(template_of("mail", as_code(files, "mail", "en"))).render("en", data())

    found = mail(*blocks)
    assert _even(coded["html"]) == _even(found["html"])
    assert _even(coded["text"]) == _even(found["text"])


def _even(text):
    return re.sub(r"#(b\d+\.(href|text))?", "#", "".join(text.split()))


@settings(max_examples=100)
@given(lists(st.just("x")), st.integers(0, 12), st.booleans())
def test_moving_a_block_loses_none(blocks, number, up):
    """And is undone by moving it back, unless it stood at an end."""
    which = f"b{number}"

    there = moved(blocks, which, up=up)

    assert sorted(one.id for one in each(there)) == sorted(one.id for one in each(blocks))
    assert moved(there, which, up=not up) == blocks or there == blocks
    assert nest(flat(there)) == there
    assert decode(encode(there), "") == there
    assert which not in {one.id for one in each(removed(there, which))}


def test_a_block_moves_through_columns():
    """Into the first, on to the second, and out below; what columns may not hold moves past them."""
    block, columns = Heading(id="b1"), Columns(id="b2", columns=((), (Divider(id="b3"),)))
    blocks, seen = (block, columns), []

    for _ in range(4):
        blocks = moved(blocks, "b1", up=False)
        seen.append([one[0] if isinstance(one, tuple) else one.id for one in flat(blocks)])

    assert seen == [
        ["columns", "column", "b1", "column", "b3", "end"],
        ["columns", "column", "column", "b1", "b3", "end"],
        ["columns", "column", "column", "b3", "b1", "end"],
        ["columns", "column", "column", "b3", "end", "b1"],
    ]
    foot = Footer(id="b4")
    assert moved((columns, foot), "b4", up=True) == (foot, columns)
    assert added((columns,), foot, "in b2 0", allowed=False) == (columns, foot)


def test_a_shoppers_name_makes_no_link_and_no_markup():
    """Whatever it is: links are read from what the marketer wrote."""
    for name in ("[free](https://evil.test)", "\ue000x\ue001https://evil.test\ue002", '"><a href="https://evil.test">'):
        found = mail(Paragraphs(id="b1", text="Hello {{ customer.name }}"), name=name)
        assert not [value for key, value in Page(found["html"]).attributes if key == "href" and "evil" in value]


def test_a_text_may_be_the_same_as_one_of_the_front_matter():
    """Though that one is compiled otherwise, whichever is rendered first."""
    text = "For {{ customer.name or 'you' }}"
    front = FRONT.replace('preheader = "It is still here."', f'preheader = "{text}"')
    coded = template_of(
        "code", {"en.mjml.j2": front + "<mjml><mj-body></mj-body></mjml>", "layouts/offer.txt.j2": text}
    )
    marked_name = "\ue000x\ue001https://evil.test\ue002"

    first = TemplateRenderer(coded).render("en", data())
    found = mail(Paragraphs(id="b1", text=text), name=marked_name)
    again = TemplateRenderer(coded).render("en", data())

    assert first == again
    assert not [value for key, value in Page(found["html"]).attributes if key == "href"]


def test_a_link_may_stand_in_a_condition():
    """And its words may be a variable."""
    text = "{% if customer.name %}[{{ customer.name }}'s cart]({{ cart_url }}){% endif %}"

    found = mail(Paragraphs(id="b1", text=text))

    assert re.search(r'<a href="[^"]*/cart/sample[^"]*"[^>]*>Ada.s cart</a>', found["html"])
    assert "Ada's cart: http" in found["text"]


def test_a_button_whose_link_has_no_value_is_left_out():
    """Such as that of an order whose shop names no page; one that leads nowhere is told apart."""
    found = mail(Button(id="b1", text="Gone", href="{{ lines[0].image }}"), Button(id="b2", text="Wrong", href="x"))

    assert ("Gone" in found["html"], 'href="#b2.href"' in found["html"]) == (False, True)


def test_a_picture_that_only_decorates_has_an_empty_text():
    """For who cannot see it; another one's text is escaped."""
    src = "https://shop.test/a.png"
    found = mail(Image(id="b1", src=src, alt="x", decorates=True), Image(id="b2", src=src, alt='"quoted"'))

    alts = [value for name, value in Page(found["html"]).attributes if name == "alt"]
    assert alts == ["", '"quoted"']


def test_mjml_of_a_block_that_is_not_well_formed_is_an_error_that_names_it():
    """As does an element that is none."""
    for wrong in ("<mj-section>", "<mj-nothing></mj-nothing>"):
        with pytest.raises(RenderError) as error:
            mail(Heading(id="b1", text="x"), Code(id="b2", mjml=wrong))
        assert error.value.where == "mail/en.blocks.json [b2.mjml]"


def test_shared_blocks_are_those_of_the_template():
    """In the shopper's language where it is there; one that is missing is an error that says so."""
    shared = Shared(id="b1", name="foot")
    texts = {"shared/foot/en.blocks.json": encode((Footer(id="b1", text="Bye"),))}
    files = {**dict(template(shared).files), **texts}

    found = TemplateRenderer(template_of("mail", files)).render("en", data())

    assert "Bye" in found["html"]
    with pytest.raises(RenderError, match="shared block foot is not part of the template"):
        mail(shared)
    with pytest.raises(DeclarationError, match="no shared block shared/foot"):
        TEMPLATES.check("mail", dict(template(shared).files))


def test_blocks_are_compiled_once_for_a_revision(monkeypatch):
    """And not for each mail."""
    made, count = compiling._resolved, []
    monkeypatch.setattr(compiling, "_resolved", lambda *given: count.append(1) or made(*given))
    renderer = TemplateRenderer(template(Heading(id="b1", text="x")))

    for _ in range(5):
        renderer.render("en", data())

    assert len(count) == 1


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"en.blocks.json": "{"}, "its blocks cannot be read"),
        ({"en.blocks.json": '[{"type": "video", "id": "b1"}]'}, "its blocks cannot be read"),
        ({"en.blocks.json": '[{"type": "text", "id": "b1"}, {"type": "text", "id": "b1"}]'}, "the same id"),
        ({"en.blocks.json": encode(tuple(Divider(id=f"b{n}") for n in range(101)))}, "100 are the most"),
        ({"en.blocks.json": encode((Button(id="b1", colour="red;x"),))}, "is no colour"),
        ({"en.blocks.json": encode((Heading(id="b1", text="x" * 20_001),))}, "20,000 are the most"),
        ({"de.blocks.json": "[]"}, "no file of texts beside it"),
        ({"en.blocks.json": "[]", "en.mjml.j2": FRONT + "<mjml></mjml>"}, "either code or blocks"),
        ({"en.blocks.json": "[]", "brand.json": '{"page": "red"}'}, "write a colour"),
        ({"en.blocks.json": "[]", "brand.json": '{"colour": "red"}'}, "cannot be read"),
        ({"shared/Foot/en.blocks.json": "[]"}, "name a file after its locale"),
    ],
)
def test_blocks_that_cannot_be_are_refused_in_words(files, why):
    """Before anything is stored."""
    with pytest.raises(DeclarationError, match=why):
        TEMPLATES.check("mail", {"en.mjml.j2": FRONT, **files})


def test_differences_are_told_in_words():
    """What was removed, moved, changed and added; a block that only gave way is not called moved."""
    before = (Heading(id="b1", text="Sale"), Paragraphs(id="b2", text="Old"), Divider(id="b3"))
    after = (
        *(Paragraphs(id="b2", text="New"), Heading(id="b1", text="Sale")),
        Button(id="b4", text="Go", href="https://e.test"),
    )

    told = block_sentences(encode(before), encode(after))

    assert told == [
        "Removed: Line.",
        "Moved to 1: Text “New”.",
        "1. Text: words was “Old”, is “New”.",
        "Added as 3: Button “Go”, which leads to “https://e.test”.",
    ]
    assert block_sentences(encode(before), encode(before)) == []
    assert block_sentences("{", "[]") is None
