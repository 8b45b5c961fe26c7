"""An audience in a journey's form: its rows, what its buttons do, how it is written and what is wrong with it."""

import pytest

from notifications.conditions.words import sentence_of
from notifications.journeys import parse, sources
from notifications.studio.journey_pages.audience_builder import changed, newest, shown
from notifications.studio.journey_pages.audience_input import audience, rows_of, texts_of
from notifications.studio.journey_pages.changes import differences, typed_in_text
from notifications.studio.journey_pages.form import write

SHIPPED = sources()["abandoned-cart"]
AUDIENCE = """
[audience]
all = [
  { field = "cart.value", is = "at least", value = ["50 EUR", "55 USD"] },
  { any = [
    { field = "shopper.returning", is = "no" },
    { field = "shopper.days_since_purchase", is = "at least", value = 90 },
  ] },
]
"""


def test_an_audience_is_written_as_people_write_it():
    """One condition on each line, behind all other fields; without conditions there is none in the file."""
    rows = [
        ("all", "0", "", ""),
        ("cart.value", "1", "at least", " 50 eur, 55 USD"),
        ("any", "1", "", ""),
        ("shopper.returning", "2", "no", ""),
        ("shopper.days_since_purchase", "2", "at least", "90 days"),
        ("none", "1", "", ""),
    ]

    written = write("sale", SHIPPED, {**typed_in_text("sale", SHIPPED), "audience": texts_of(rows)})
    without = write("sale", written.text, {**typed_in_text("sale", written.text), "audience": texts_of(rows[:1])})

    assert (written.text, written.wrong) == (SHIPPED + AUDIENCE, {})
    assert without.text.rstrip() == SHIPPED.rstrip()
    assert write(
        "sale", SHIPPED + AUDIENCE, {**typed_in_text("sale", SHIPPED + AUDIENCE), "cap": {"": ["4"]}}
    ).text == (SHIPPED.replace("cap = 3", "cap = 4") + AUDIENCE)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("cart.value", "1", "at least", "50"), "cart value: amount '50': write it like 50 EUR"),
        (("cart.value", "1", "at least", "50 EUO"), "cart value: amount '50 EUO': there is no currency EUO"),
        (("cart.lines", "1", "at least", "two"), "different products in the cart: write a number, such as 2"),
        (("shopper.language", "1", "one of", " "), "language: write one or several, such as de, fr"),
        (("shopper.language", "1", "at least", "2"), "language: cannot be 'at least'"),
        (("shopper.country", "1", "one of", "AT"), "there is no field 'shopper.country': remove this condition"),
        (("cart.brands", "1", "including one of", "x" * 200_000), "brands in the cart: this is too long"),
    ],
)
def test_what_is_wrong_with_a_condition_is_said_in_the_words_of_the_form(row, words):
    """With the field's label; the row is marked."""
    texts = texts_of([("all", "0", "", ""), row])
    wrong = write("sale", SHIPPED, {**typed_in_text("sale", SHIPPED), "audience": texts}).wrong

    assert set(wrong) == {"audience"}
    assert words in wrong["audience"]
    assert words in shown(texts).inner[0].wrong


def test_buttons_change_the_rows_of_an_audience():
    """A condition or a group comes last in its group, what is removed goes with all in it, odd buttons do nothing."""
    texts = audience().show(None)
    for edit, field in (("add 0", "cart.value"), ("group 0", ""), ("add 2", "cart.lines"), ("add 0", "cart.brands")):
        texts = changed(texts, edit, lambda _, field=field: field)
        added = newest(texts, edit)

    assert [row[:3] for row in rows_of(texts)] == [
        ("all", "0", ""),
        ("cart.value", "1", "at least"),
        ("any", "1", ""),
        ("cart.lines", "2", "at least"),
        ("cart.brands", "1", "including one of"),
    ]
    assert added == 4
    assert [one.at for one in shown(texts).inner] == [1, 2, 4]
    for edit in ("remove 0", "add 9", "add x", "add 1", "explode 1", "add", "add 99999999999"):
        assert changed(texts, edit, lambda _: "cart.lines") == texts
    assert changed(texts, "add 0", lambda _: "shopper.country") == texts
    assert [row[0] for row in rows_of(changed(texts, "remove 2", str))] == ["all", "cart.value", "cart.brands"]


def test_rows_that_no_page_sends_are_read_all_the_same():
    """Without an outermost group, with levels that are none, and with lists of different lengths."""
    odd = {"kind": ["cart.lines", "any"], "level": ["x", "1"], "is": ["at least", ""], "value": ["2"]}

    assert audience().words(audience().read(odd)) == "different products in the cart is at least 2 products"
    assert audience().read({part: [] for part in odd}) is None
    assert audience().read(texts_of([("any", "7", "", ""), ("none", "3", "", "")])) is None


def test_a_difference_is_said_in_words():
    """All of an audience, before and after."""
    words = sentence_of(parse("sale", SHIPPED + AUDIENCE, {}).audience)

    [one] = differences("sale", {"journey.toml": SHIPPED}, {"journey.toml": SHIPPED + AUDIENCE}).changes

    assert "bought before or days since" in words
    assert (one.label, one.before, one.after) == ("Only for carts that meet", "every cart", words)
