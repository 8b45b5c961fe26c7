"""Triggers of journeys: what a journey may say of them, what its form keeps, and the words for what was found."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh import Money, Received
from mesh.errors import DeclarationError
from mesh.events.cart import CartLine
from mesh.events.interaction import ProductViewed
from mesh.events.offer import OfferTriggered
from mesh.events.product import ProductListed
from notifications.journeys import parse
from notifications.journeys.starts import STARTS, start
from notifications.journeys.triggers import TRIGGERS, has_cart
from notifications.studio.decision_pages.found_entry import found
from notifications.studio.journey_pages.form import typed_of, write
from notifications.studio.journey_pages.picture import picture
from notifications.studio.journey_pages.sentence import sentence
from notifications.triggers.found import subject_of
from notifications.triggers.left_carts import lowest_before
from notifications.triggers.views import visit_of

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
USUAL = 'template = "a"\n'


def eur(amount):
    return Money(amount=amount, currency="EUR")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('trigger = "birthday"', "there is no 'birthday'; there is cart abandoned, browse abandoned"),
        ('trigger_after = "1h"', "only a journey with the trigger browse abandoned and no order since has it"),
        ('trigger = "price dropped"\ntrigger_after = "1h"', "set it to 0"),
        ('trigger = "back in stock"\nprice_drop_percent = 3', "only a journey with the trigger price dropped has it"),
        ('trigger = "browse abandoned"\ntrigger_after = "26d"', "25 days at most"),
        ('trigger = "no order since"\ntrigger_after = "500d"', "390 days at most"),
        ('trigger = "price dropped"\ntrigger_within = "500d"', "400 days at most"),
        ('trigger = "price dropped"\nprice_drop_percent = 100', "from 0 to below 100"),
    ],
)
def test_a_journey_says_no_more_of_its_trigger_than_it_has(text, words):
    """The refusal names the field, and says what to write."""
    with pytest.raises(DeclarationError, match=words):
        parse("j", USUAL + text, {})


def test_what_is_usual_holds_where_nothing_is_said():
    """By the kind of trigger."""
    browse, win_back, price = (
        parse("j", f'{USUAL}trigger = "{one}"', {}) for one in ("browse abandoned", "no order since", "price dropped")
    )

    assert (browse.triggered_after, win_back.triggered_after) == (timedelta(hours=1), timedelta(days=60))
    assert (price.triggered_within, price.least_drop) == (timedelta(days=30), 5.0)


@pytest.mark.parametrize("name", STARTS)
def test_every_ready_journey_is_one(name):
    """And its picture begins with its trigger."""
    journey = parse(name, start(name), {})

    assert picture(journey)[0].title == TRIGGERS[journey.trigger].title
    assert sentence(journey).endswith(".")


def test_a_mail_about_a_cart_is_not_for_who_has_none():
    """As where the trigger of a copied journey was changed; of a left cart nothing is said."""
    said = [sentence(parse("j", f'template = "abandoned-cart"\ntrigger = "{one}"\n', {})) for one in TRIGGERS]

    assert ["choose another one" in one for one in said] == [False, True, False, False, True]


def test_the_form_keeps_no_setting_that_the_chosen_trigger_does_not_have():
    """They are not shown, so nobody could empty them."""
    base = f'{USUAL}trigger = "price dropped"\nprice_drop_percent = 12\ntrigger_within = "7d"\n'
    typed = {**typed_of(parse("j", base, {})), "trigger": {"": ["back in stock"]}}

    written = write("j", base, typed)

    assert written.wrong == {}
    journey = parse("j", written.text, {})
    assert (journey.trigger, journey.price_drop_percent) == ("back in stock", 0.0)
    assert journey.trigger_within == timedelta(days=7)


def test_a_run_without_a_cart_has_a_key_that_is_a_digest():
    """It fits in a subject however long the visitor's id is, and differs by journey and visitor."""
    keys = {
        subject_of(trigger, journey, visitor)
        for trigger in ("browse abandoned", "no order since")
        for journey in ("a", "b")
        for visitor in ("v" * 128, "w")
    }

    assert len(keys) == 8
    assert max(map(len, keys)) < 50
    assert [has_cart(one) for one in TRIGGERS] == [True, False, True, True, False]


def test_a_visit_ends_where_nobody_looked_for_so_long():
    """Whatever the order in which the views arrived."""

    def view(minutes):
        at = AT + timedelta(minutes=minutes)
        event = ProductViewed(visitor_id="v", product_id=f"p{minutes}")
        return Received(event=event, id="i", time=at, stored=at, region="us", sequence=minutes + 1, subject="")

    visit = visit_of([view(0), view(200), view(120), view(170)], timedelta(hours=1))

    assert [one.event.product_id for one in visit] == ["p120", "p170", "p200"]


def test_the_price_before_is_the_lowest_of_the_thirty_days_before():
    """That in force when they began counts too; what was cheaper long ago does not, nor what came later."""

    def listing(day, amount):
        at = AT + timedelta(days=day)
        event = ProductListed(product_id="p", price=eur(amount))
        return Received(event=event, id="i", time=at, stored=at, region="us", sequence=day + 1, subject="")

    past = [
        listing(day, amount) for day, amount in ((0, 900), (5, 1800), (20, 2000), (30, 1900), (40, 1500), (41, 100))
    ]

    assert lowest_before(past, past[4], "EUR") == eur(1800)
    assert lowest_before(past, past[0], "EUR") is None
    assert lowest_before(past, past[4], "USD") is None


@pytest.mark.parametrize(
    ("trigger", "title", "words"),
    [
        ("browse abandoned", "Looked at 1 product and left", "Lamp"),
        ("price dropped", "A price fell", "Lamp fell from 20.00 EUR to 15.00 EUR"),
        ("back in stock", "Back in stock", "Lamp can be bought again"),
        ("no order since", "No other order", "No order followed order o-1"),
    ],
)
def test_what_was_found_is_said_in_words(trigger, title, words):
    """As the Why page has it."""
    event = OfferTriggered(
        cart_id="c",
        visitor_id="v",
        journey="j",
        trigger=trigger,
        lines=(CartLine(product_id="p", quantity=1, price=eur(1500), name="Lamp"),),
        total=eur(1500),
        left_at=AT,
        due=AT,
        order_id="o-1",
        products=("p",),
        prices_before={"p": eur(2000)},
    )

    assert found(event)[:2] == (title, words)
