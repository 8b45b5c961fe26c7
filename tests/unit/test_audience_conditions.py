"""Audience conditions: what they ask of a cart, what is refused, and what a decision says of them."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from mesh.errors import DeclarationError
from mesh.events.cart import CartLine
from mesh.events.user import Advice, Arm
from mesh.money import Money
from notifications.audience_check import audience_result
from notifications.conditions.check import MOST_COMPARISONS, MOST_LEVELS
from notifications.conditions.closures import compile_audience
from notifications.conditions.fields import FIELDS, GROUPS, facts_of
from notifications.conditions.file_form import read_audience
from notifications.conditions.live_audiences import MOST_CHANGED
from notifications.conditions.operators import Type
from notifications.conditions.tree import AllOf, AnyOf, Comparison, Not
from notifications.conditions.words import explained, sentence_of
from notifications.decision_input import DecisionInput
from notifications.evaluation import evaluate
from notifications.journeys import Journey, overrides_of, parse
from notifications.journeys.live import LiveJourney, LiveJourneys

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LINES = (
    CartLine(
        product_id="lamp-1",
        quantity=2,
        price=Money(amount=4500, currency="EUR"),
        category="furniture.lamp",
        brand="Lumo",
    ),
    CartLine(product_id="cup-1", quantity=1, price=Money(amount=900, currency="EUR")),
)


def inputs(**changes):
    """What is known of a cart."""
    known = {
        "cart": "left",
        "cart_detail": "unchanged",
        "due": NOW,
        "total": Money(amount=9900, currency="EUR"),
        "person": "ada",
        "lines": LINES,
        "device": "mobile",
        "checkout_started": True,
        "language": "de",
        "last_purchase": NOW - timedelta(days=100),
        "consent": {"email": True},
        "propensity": 0.29,
        "advice": Advice(
            version="1",
            decision="target",
            explanation="",
            unaided=0.25,
            arms=(Arm(discount_percent=0, purchase=0.26), Arm(discount_percent=10, purchase=0.31)),
        ),
    }
    return DecisionInput(**{**known, **changes})


KNOWN = "{ field = 'cart.lines', is = 'known' }"


def of(field, operator, value=None):
    return Comparison(field=field, operator=operator, value=value)


FRENCH = of("shopper.language", "one of", ("fr",))


def belongs(tree, **changes):
    return compile_audience(tree)(facts_of(inputs(**changes), NOW))


def test_every_field_is_declared_whole():
    """With a label of its own, where it comes from, an example where it needs a value, sentences where it does not."""
    assert len({one.label for one in FIELDS.values()}) == len(FIELDS)
    assert all(one.source for one in FIELDS.values())
    assert all(one.example if one.type is not Type.YES_NO else all(one.says) for one in FIELDS.values())
    assert {name.partition(".")[0] for name in FIELDS} == set(GROUPS)


def test_a_field_is_read_from_what_is_known():
    """All of them, of a cart of which all is known."""
    assert facts_of(inputs(time_zone="Europe/Vienna", customer_known=True, email_known=True), NOW) == {
        "cart.value": Money(amount=9900, currency="EUR"),
        "cart.pieces": 3,
        "cart.lines": 2,
        "cart.products": ("cup-1", "lamp-1"),
        "cart.categories": ("furniture", "furniture.lamp"),
        "cart.brands": ("Lumo",),
        "cart.device": "mobile",
        "cart.checkout_started": True,
        "shopper.customer": True,
        "shopper.returning": True,
        "shopper.days_since_purchase": 100,
        "shopper.language": "de",
        "shopper.time_zone": "Europe/Vienna",
        "shopper.address": True,
        "consent.email": True,
        "consent.onsite": None,
        "consent.push": None,
        "consent.sms": None,
        "score.propensity": 29,
        "score.uplift": 6,
    }


@pytest.mark.parametrize(
    ("tree", "changes", "expected"),
    [
        (of("cart.value", "at least", ("99 EUR",)), {}, True),
        (of("cart.value", "at least", ("99.01 EUR", "1 USD")), {}, False),
        (of("cart.value", "at least", ("1 USD",)), {}, False),
        (Not(of=of("cart.value", "at least", ("1 USD",))), {}, False),
        (of("cart.value", "unknown"), {}, False),
        (of("cart.checkout_started", "yes"), {}, True),
        (of("cart.checkout_started", "no"), {"checkout_started": False}, True),
        (of("cart.checkout_started", "no"), {"checkout_started": None}, False),
        (of("shopper.language", "one of", ("de",)), {"language": None}, False),
        (Not(of=of("shopper.language", "one of", ("de",))), {"language": None}, False),
        (of("shopper.language", "not one of", ("de",)), {"language": None}, False),
        (of("shopper.language", "unknown"), {"language": None}, True),
        (Not(of=of("shopper.language", "known")), {"language": None}, True),
        (
            AnyOf(of=(of("shopper.language", "one of", ("fr",)), of("cart.lines", "at least", 2))),
            {"language": None},
            True,
        ),
        (
            AllOf(of=(of("shopper.language", "one of", ("fr",)), of("cart.lines", "at least", 2))),
            {"language": None},
            False,
        ),
        (of("consent.onsite", "no"), {}, False),
        (of("consent.email", "yes"), {}, True),
        (of("cart.categories", "including one of", ("furniture",)), {}, True),
        (of("cart.brands", "including none of", ("Lumo", "Acme")), {}, False),
        (of("cart.brands", "including none of", ("Acme",)), {"lines": LINES[1:]}, False),
        (of("shopper.returning", "no"), {"last_purchase": None}, True),
        (of("shopper.days_since_purchase", "more than", 90), {"last_purchase": None}, False),
        (of("score.propensity", "less than", 29), {}, False),
        (of("score.propensity", "at most", 29), {}, True),
        (of("score.uplift", "at least", 5), {"advice": None}, False),
    ],
)
def test_what_is_not_known_meets_nothing(tree, changes, expected):
    """Neither a comparison nor its opposite; only asking whether it is known does."""
    assert belongs(tree, **changes) is expected


@pytest.mark.parametrize(
    ("audience", "words"),
    [
        (
            'all = [{ field = "cart.valeu", is = "known" }]',
            "all[0]: there is no field cart.valeu; did you mean cart.value?",
        ),
        (
            'all = [{ field = "shopper.country", is = "known" }]',
            "all[0]: there is no field shopper.country; did you mean",
        ),
        ('any = [{ field = "cart.lines", is = "at lest", value = 2 }]', "cannot be 'at lest'; did you mean at least?"),
        ('any = [{ field = "cart.lines", is = "one of", value = ["2"] }]', "any[0]: cart.lines cannot be 'one of'; "),
        ('field = "cart.lines"\nis = "at least"\nvalue = "2"', "audience: cart.lines: write a number, such as 2"),
        ('field = "cart.lines"\nis = "at least"\nvalue = true', "value: write a number, such as 2"),
        ('field = "cart.lines"\nis = "at least"\nvalue = nan', "cart.lines: write a number, such as 2"),
        ('field = "score.propensity"\nis = "at least"\nvalue = 130', "130 is no number from 0 to 100"),
        (
            'field = "cart.value"\nis = "at least"\nvalue = 20',
            "cart.value: write one or several, such as 50 EUR",
        ),
        ('field = "cart.value"\nis = "at least"\nvalue = ["20 EUO"]', "there is no currency EUO; did you mean EUR?"),
        ('field = "cart.value"\nis = "at least"\nvalue = ["20.001 EUR"]', "EUR has 2 decimal places"),
        ('field = "cart.value"\nis = "at least"\nvalue = ["20 EUR", "30 EUR"]', "EUR is there already"),
        ('field = "cart.brands"\nis = "including one of"\nvalue = [1]', "value: write texts in quotation marks"),
        ('field = "cart.brands"\nis = "including one of"\nvalue = [" "]', "without spaces around them"),
        ('field = "consent.email"\nis = "yes"\nvalue = "yes"', "consent.email is yes: leave out the value"),
        ('field = "shopper.language"\nis = "one of"\nvalue = ["de-AT"]', "'de-AT': write languages as their codes"),
        ('field = "shopper.time_zone"\nis = "one of"\nvalue = ["Europe/Wien"]', "there is no time zone Europe/Wien"),
        ('fields = "cart.lines"', "there is no fields; did you mean field?"),
        ('field = "cart.lines"\nis = "known"\nvalues = 2', "a condition has no values; did you mean value?"),
        ("al = []", "there is no al; did you mean all?"),
        ("all = []", "all: a group needs at least one condition"),
        ("all = 3", "all: write a list of conditions"),
        ("all = [3]", "all[0]: write a condition, such as { field"),
        ('all = [{ field = "cart.lines", is = "known" }]\nany = []', "write one of all, any and not, not all, any"),
        ("", "write one of all, any and not, not nothing"),
        (f"not = {'{ not = ' * MOST_LEVELS}{KNOWN}{' }' * MOST_LEVELS}", "nested 6 levels deep at most"),
        (f"all = [{f'{KNOWN}, ' * (MOST_COMPARISONS + 1)}]", "300 conditions at most"),
    ],
)
def test_an_audience_that_is_wrong_is_refused_with_its_place(audience, words):
    """The journey, where in the audience, what is wrong, and the nearest that there is."""
    with pytest.raises(DeclarationError) as error:
        parse("sale", f'template = "a"\n[audience]\n{audience}\n', {})

    assert str(error.value).startswith("journey sale (or CARTMESH_JOURNEY_...): audience: ")
    assert words in str(error.value)


def test_a_tree_that_contains_itself_or_cannot_be_read_is_refused():
    """Neither hangs or crashes whoever checks it."""
    table = {"all": []}
    table["all"].append(table)

    with pytest.raises(DeclarationError, match="levels deep at most"):
        read_audience(table)
    with pytest.raises(DeclarationError, match="nested too deeply to be read"):
        parse("sale", f"audience = {'[' * 50_000}", {})


def test_an_audience_is_each_journeys_own():
    """No variable sets it for all journeys, and those that set other fields leave it alone."""
    text = 'template = "a"\n[audience]\nfield = "cart.lines"\nis = "at least"\nvalue = 2\n'

    assert parse("sale", text, overrides_of({"CARTMESH_JOURNEY_CAP": "9"})) == Journey(
        name="sale", template="a", cap=9, audience=of("cart.lines", "at least", 2)
    )
    with pytest.raises(DeclarationError, match="a journey has no field audience to override"):
        overrides_of({"CARTMESH_JOURNEY_AUDIENCE": "{}"})
    with pytest.raises(DeclarationError, match="there is no field nothing"):
        Journey(name="sale", template="a", audience=of("nothing", "known"))


def test_a_decision_says_what_was_met_or_what_was_not():
    """In plain words with the values seen; a personal value is not shown, as decisions are read in other regions."""
    tree = AllOf(
        of=(
            of("cart.value", "at least", ("50 EUR",)),
            of("shopper.language", "one of", ("de", "fr")),
            AnyOf(of=(of("shopper.returning", "no"), of("shopper.days_since_purchase", "at least", 90))),
            Not(of=of("cart.brands", "including one of", ("Acme",))),
        )
    )

    def check(**changes):
        found = audience_result(inputs(**changes), Journey(name="sale", template="a", audience=tree), NOW)
        return found.check.passed, found.check.value

    found = check()
    assert found[0] is True
    assert found[1].split("; ") == [
        "cart value is at least 50 EUR (99.00 EUR)",
        "language is one of de or fr (not shown, as it is personal)",
        "days since the last purchase is at least 90 days (100 days)",
        "brands in the cart include none of Acme (Lumo)",
    ]
    found = check(language=None, total=Money(amount=4900, currency="EUR"), last_purchase=NOW - timedelta(hours=36))
    assert found[0] is False
    assert found[1].split("; ") == [
        "not met: cart value is at least 50 EUR (49.00 EUR)",
        "not met: language is one of de or fr (not known)",
        "not met: the shopper has never bought before",
        "not met: days since the last purchase is at least 90 days (1.5 days)",
    ]
    assert audience_result(inputs(), Journey(name="sale", template="a"), NOW).check.value == "everyone"


def test_a_check_stays_short_and_a_sentence_whole():
    """Of many conditions and values a decision names some and counts the rest; what is published is shown in full."""
    names = tuple(f"lamp-{at}" for at in range(30))
    tree = AllOf(of=tuple(of("cart.products", "including one of", (*names, f"cup-{at}")) for at in range(20)))

    check = explained(tree, facts_of(inputs(lines=()), NOW), belongs=False)

    assert check.count("not met: products in the cart include one of lamp-0, lamp-1,") == 8
    assert check.endswith("lamp-5 or 25 more (none); and 12 more")
    assert all(f"cup-{at}" in sentence_of(tree) for at in range(20))


def test_the_audience_of_the_readme_is_one():
    """It is read as it stands there, and says what it is meant to say."""
    readme = Path(__file__).parents[2].joinpath("notifications", "README.md").read_text(encoding="utf-8")
    [text] = re.findall(r"```toml\n(\[audience\].*?)```", readme, re.DOTALL)

    said = sentence_of(parse("sale", f'template = "a"\n{text}', {}).audience)

    assert said.startswith(
        "cart value is at least 50 EUR or 55 USD and language is one of de or fr and (the shopper has"
    )
    assert said.endswith("last purchase is at least 90 days) and not (categories in the cart include gift-cards)")


def test_who_does_not_belong_gets_no_offer():
    """The evaluation drops it for that reason, and the experiment does not count the cart."""
    sale = Journey(name="sale", template="a", quiet="", audience=of("cart.lines", "at least", 3))

    outside = evaluate(inputs(advice=None), sale, NOW)
    inside = evaluate(inputs(advice=None, lines=(*LINES, LINES[0])), sale, NOW)

    assert (outside.outcome, outside.reason, outside.assignment.eligible) == ("dropped", "not in the audience", False)
    assert inside.outcome == "approved"
    assert evaluate(inputs(advice=None), sale, NOW, belongs=True).outcome == "approved"


def test_live_journeys_use_the_newest_audience():
    """Whoever publishes one is heard by the next cart, also before and after all are put on bits again."""
    live = LiveJourneys([LiveJourney(journey=Journey(name=f"all-{at}", template="a")) for at in range(MOST_CHANGED)])
    facts, everyone = facts_of(inputs(), NOW), {f"all-{at}" for at in range(MOST_CHANGED)}
    sale = Journey(name="sale", template="a", audience=of("cart.lines", "at least", 3))

    found = [live.for_cart(facts)]
    for journey in (
        sale,
        msgspec.structs.replace(sale, audience=of("cart.lines", "at least", 2)),
        msgspec.structs.replace(sale, audience=None),
        sale,
        Journey(name="all-0", template="a", audience=of("cart.lines", "less than", 2)),
    ):
        live.set(LiveJourney(journey=journey))
        found.append(live.for_cart(facts))

    earlier, now = LiveJourney(journey=sale, revision=1), LiveJourney(journey=sale, revision=2)
    live.set(now)

    assert (live.belongs(now, frozenset({"sale"})), live.belongs(now, frozenset())) == (True, False)
    assert live.belongs(earlier, frozenset({"sale"})) is None
    both = everyone | {"sale"}
    assert found == [everyone, everyone, both, both, everyone, everyone - {"all-0"}]
