"""HTML of mails: what is made from the mail before is what the long way makes."""

import re
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import notifications.mail_html
from notifications.blocks.beginnings import SHARED_STARTS, shared_start, start
from notifications.mail_html import MailHtml, html_of
from notifications.template_renderer import TemplateRenderer
from notifications.templates.kind import TEMPLATES
from notifications.templates.render_error import RenderError
from notifications.templates.template import template_of
from notifications.templates.trial import choices, chosen_variables, kind_of

NAMES = (
    "Ada",
    "Bo & Cy's",
    "<b>x</b>",
    '"q"</td></mj-text><mj-raw>',
    "no\xa0break",
    "漢字",
    "&amp;",
    "cmplace0x",
    "1\n2",
    "{{ 7 }}",
)
TEMPLATES_AND_STARTS = {
    **TEMPLATES.read_folder(""),
    **{f"start-{name}": start(name) for name in ("offer", "order", "empty")},
    **{f"shared-{name}": shared_start(name) for name in SHARED_STARTS},
}


def mjml(words, address="https://shop.test/?a=1&amp;b=2", title="A title", style="a { color: red; }", more=""):
    return (
        f"<mjml><mj-head><mj-title>{title}</mj-title><mj-style>{style}</mj-style></mj-head><mj-body>"
        f'<mj-section><mj-column><mj-text> <b>{words}</b><br /><a href="{address}">{words}\n</a></mj-text>{more}'
        f'<mj-table><tr><td>{words}</td></tr></mj-table><mj-button href="{address}">{words}</mj-button>'
        "</mj-column></mj-section></mj-body></mjml>"
    )


def no_long_way(*_):
    raise AssertionError("the long way")


@pytest.mark.parametrize("name", TEMPLATES_AND_STARTS)
def test_mails_of_every_template_are_those_of_the_long_way(name):
    """In each language, of carts with no, one, three and many lines, and of names that are markup."""
    template = template_of(name, TEMPLATES_AND_STARTS[name])
    short, long = TemplateRenderer(template), TemplateRenderer(template)
    long._html.of = html_of
    samples = list(choices(kind_of(template)))

    for locale in template.locales:
        for at, customer in enumerate(NAMES):
            values = chosen_variables(template, locale, samples[at % len(samples)])
            lines = values["lines"] and [values["lines"][0]] * (0, 1, 3, 25)[at % 4]
            values |= {"lines": [{**line, "name": NAMES[(at + n) % 5]} for n, line in enumerate(lines)]}
            values |= {"customer": {"name": customer}} if "customer" in values else {}
            if not lines and name != "win-back" and kind_of(template) == "offer":
                values["lines"] = [{**chosen_variables(template, locale, samples[0])["lines"][0], "name": customer}]
            expected = long.render(locale, values)
            assert [short.render(locale, values) for _ in range(3)] == [expected] * 3

    assert any(short._html._outlines.values())


def test_the_third_mail_of_a_form_goes_the_short_way(monkeypatch):
    """Two show that there are more of them; then only words and addresses are filled in."""
    made = MailHtml()
    for name in ("Ada", "Bo"):
        made.of(mjml(name), "")
    expected = html_of(mjml("Cy &amp; Di&#39;s\xa0mother", "https://elsewhere.test", "Eve\xa0&amp; &lt;b&gt;"), "")

    monkeypatch.setattr(notifications.mail_html, "_html", no_long_way)

    assert (
        made.of(mjml("Cy &amp; Di&#39;s\xa0mother", "https://elsewhere.test", "Eve\xa0&amp; &lt;b&gt;"), "") == expected
    )
    with pytest.raises(AssertionError, match="the long way"):
        made.of(mjml("a &lt; b"), "")


@settings(max_examples=150, deadline=None)
@given(
    words=st.lists(
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='<>&"'), min_size=1, max_size=12),
            st.sampled_from(
                [
                    "&amp;",
                    "&#39;",
                    "&lt;",
                    "&copy;",
                    "&nbsp;",
                    "<i>x</i>",
                    "\n",
                    "\xa0",
                    '"',
                    "{",
                    "}",
                    "cmplace1x",
                    "é",
                ]
            ),
        ),
        max_size=4,
    ).map("".join)
)
def test_any_words_are_those_of_the_long_way(words):
    """Entities, white space, signs of markup and letters of any language."""
    made = MailHtml()
    for other in ("Ada", "Bo"):
        made.of(mjml(other), "")

    assert [made.of(mjml(words), "") for _ in range(3)] == [html_of(mjml(words), "")] * 3


@pytest.mark.parametrize(
    "changed",
    [
        {"style": 'a[href="x"] { color: red; }'},
        {"more": "<mj-raw><p>x</p></mj-raw>"},
        {"more": "<!-- words > here -->"},
        {"style": "Ada"},
    ],
)
def test_a_mail_that_may_depend_on_its_words_always_goes_the_long_way(changed):
    """By a style that looks at an address, by elements that are not known, by comments."""
    made = MailHtml()

    assert [made.of(mjml("x", **changed), "") for _ in range(3)] == [html_of(mjml("x", **changed), "")] * 3
    assert list(made._outlines.values()) == [[]]


def test_the_title_is_read_out_as_it_is_written():
    r"""MJML alone writes a no-break space of it as `\u{a0}`, and ends it at a quotation mark."""
    html = html_of(mjml("x", title="10\xa0% &#34;off&#34;"), "")

    assert unescape(re.search('aria-label="([^"]*)"', html)[1]) == '10\xa0% "off"'
    assert unescape(re.search("<title>(.*)</title>", html)[1]) == '10\xa0% "off"'


def test_what_is_wrong_is_said_as_often_as_it_is_made():
    """Nothing that is wrong is kept."""
    made = MailHtml()

    for _ in range(3):
        with pytest.raises(RenderError, match="no MJML element"):
            made.of(mjml("x", more="<mj-carousel2/>"), "")
        with pytest.raises(RenderError, match="not well formed"):
            made.of(mjml("x", more="<b>"), "")
