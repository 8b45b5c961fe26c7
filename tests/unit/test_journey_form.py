"""A journey's form: it holds every field, changes nothing of what nobody changed, and says what is wrong where."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.channels import CHANNELS
from mesh.errors import DeclarationError
from notifications.conditions.check import check
from notifications.conditions.tree import AllOf, AnyOf, Comparison, Not
from notifications.documents.document import Document, Version
from notifications.journeys import Journey, parse, sources
from notifications.journeys.steps import Step, Variant
from notifications.studio.journey_pages.audience_input import normal
from notifications.studio.journey_pages.changes import conflicts, differences, merged, typed_in_text
from notifications.studio.journey_pages.fields import FIELDS, SECTIONS
from notifications.studio.journey_pages.form import WHOLE, typed_of, write
from notifications.studio.journey_pages.history import entries
from notifications.studio.journey_pages.journeys_list import name_of
from notifications.studio.journey_pages.overridden import as_decided
from notifications.studio.journey_pages.picture import picture
from notifications.studio.journey_pages.sentence import sentence
from notifications.studio.journey_pages.step_builder import changed
from notifications.studio.journey_pages.step_words import running_tests, steps_in_words

SHIPPED = sources()["abandoned-cart"]
NOW = datetime(2026, 5, 1, tzinfo=UTC)


def _is_shallow(tree):
    try:
        return check(normal(tree)) is None
    except DeclarationError:
        return False


NAMES = st.from_regex(r"[a-z]{1,8}(-[a-z]{1,8})?", fullmatch=True)
AMOUNTS = st.lists(
    st.builds(
        "{} {}".format, st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,3})?", fullmatch=True), st.sampled_from(["EUR", "JPY"])
    ),
    max_size=3,
).map(tuple)
DURATIONS = st.builds(
    lambda number, unit: timedelta(**{unit: number}),
    st.integers(0, 3000),
    st.sampled_from(["milliseconds", "seconds", "minutes", "hours", "days"]),
)
SHARES = st.floats(0, 1, allow_nan=False)
TEXTS = st.lists(st.text(min_size=1, max_size=9).map(str.split).map(" ".join).filter(bool), min_size=1, max_size=3)
CONDITIONS = st.one_of(
    st.builds(
        Comparison, field=st.just("cart.value"), operator=st.just("at least"), value=st.just(("5 EUR", "600 JPY"))
    ),
    st.builds(Comparison, field=st.just("cart.brands"), operator=st.just("including none of"), value=TEXTS.map(tuple)),
    st.builds(Comparison, field=st.just("score.propensity"), operator=st.just("at most"), value=st.floats(0, 100)),
    st.builds(Comparison, field=st.just("shopper.returning"), operator=st.sampled_from(["yes", "no"])),
)
AUDIENCES = st.one_of(
    st.none(),
    st.recursive(
        CONDITIONS,
        lambda inner: st.one_of(
            st.builds(Not, of=inner),
            st.builds(AllOf, of=st.lists(inner, min_size=1, max_size=3).map(tuple)),
            st.builds(AnyOf, of=st.lists(inner, min_size=1, max_size=3).map(tuple)),
        ),
        max_leaves=5,
    ).filter(_is_shallow),
)
HOURS = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))
VARIANTS = st.lists(
    st.builds(
        Variant,
        name=st.sampled_from("abc"),
        share=st.sampled_from([50.0, 0.5, 1e6]),
        template=st.sampled_from(["", "mail"]),
        discount_percent=st.sampled_from([None, 0, 15]),
        after=st.one_of(st.none(), DURATIONS),
    ),
    max_size=2,
    unique_by=lambda one: one.name,
).map(tuple)
STEPS = st.lists(
    st.builds(
        lambda variants, wins, rule, **more: Step(
            variants=variants,
            winner=variants[0].name if variants and wins else "",
            choose_winner=rule if len(variants) > 1 else "",
            **more,
        ),
        variants=VARIANTS,
        wins=st.booleans(),
        rule=st.sampled_from(["", "orders", "margin"]),
        winner_size=st.sampled_from([200, 500, 10_000]),
        name=st.sampled_from(["first", "second", "third"]),
        after=DURATIONS,
        template=st.sampled_from(["", "mail"]),
        channels=st.sampled_from([(), ("email",), ("onsite", "email")]),
        discount_percent=st.sampled_from([None, 0, 15]),
        experiment=st.sampled_from(["", "both"]),
    ),
    max_size=2,
    unique_by=lambda one: one.name,
).map(
    lambda steps: tuple(
        msgspec.structs.replace(one, when=["", "clicked", f"not clicked {steps[at - 1].name}"][at % 3 if at else 0])
        for at, one in enumerate(steps)
    )
)


@st.composite
def journeys(draw):
    """Any valid journey."""
    most = draw(st.integers(0, 100))
    drawn = {
        "template": NAMES,
        "active": st.booleans(),
        "regions": st.sampled_from([(), ("eu",), ("eu", "us")]),
        "priority": st.integers(-1000, 1000),
        "channels": st.permutations(list(CHANNELS)).flatmap(
            lambda order: st.integers(1, len(order)).map(lambda count: tuple(order[:count]))
        ),
        "score_limit": DURATIONS,
        "discount_percent": st.integers(0, 100),
        "max_discount_percent": st.just(most),
        "max_discount": AMOUNTS,
        **dict.fromkeys(("budget", "budget_day", "budget_customer", "offer_cost"), AMOUNTS),
        **draw(st.sampled_from([{}, {"gift": st.just("tea-7")}, {"free_shipping": st.just(True)}])),
        "discount_habit": st.integers(0, 100),
        "discount_habit_window": DURATIONS,
        "code_list": st.sampled_from(["", "summer"]),
        "discount_depths": st.lists(st.integers(0, most), max_size=4).map(tuple),
        "margin_percent": st.floats(0, 100, exclude_min=True),
        "contact_cost": AMOUNTS,
        "explore": SHARES,
        "no_discount_from": st.floats(0, 2),
        "minimum_value": AMOUNTS,
        "cap": st.integers(0, 1000),
        "cap_window": DURATIONS,
        "contact_interval": DURATIONS,
        "quiet": st.one_of(st.just(""), st.builds("{}-{}".format, HOURS, HOURS)),
        "time_zone": st.sampled_from(["", "Europe/Berlin", "Asia/Kolkata", "UTC"]),
        "holdout": SHARES,
        "assume_consent": st.booleans(),
        "double_opt_in": st.booleans(),
        "count_opens": st.booleans(),
        "stale_after": DURATIONS,
        "stale_hold": DURATIONS,
        "expires": DURATIONS,
        "coupon_prefix": st.from_regex(r"[A-Z]{0,6}", fullmatch=True),
        "audience": AUDIENCES,
        "reentry": st.sampled_from(["always", "once per 7d", "once per 36h", "once per 90s"]),
        "steps": STEPS,
    }
    return Journey(name="sale", **{name: draw(strategy) for name, strategy in drawn.items()})


def typed(base=SHIPPED, **changes):
    """A journey's form with the texts of some fields changed."""
    return {**typed_in_text("sale", base), **{name: {"": [text]} for name, text in changes.items()}}


def test_every_field_of_a_journey_is_in_the_form():
    """Once, with a label of its own and a hint, in one section."""
    listed = [field for section in SECTIONS for field in section.fields]

    assert sorted(field.name for field in listed) == sorted(set(Journey.__struct_fields__) - {"name"})
    assert len({field.label for field in listed}) == len(listed)
    assert all(field.hint.endswith(".") for field in listed)


@settings(max_examples=40)
@given(journeys())
def test_a_form_holds_any_valid_journey(journey):
    """Filled in with a journey and read again it is that journey, whatever the text was before."""
    written = write("sale", SHIPPED, typed_of(journey))
    again = parse("sale", written.text, {})

    assert written.wrong == {}
    assert (again.audience and normal(again.audience)) == (journey.audience and normal(journey.audience))
    assert msgspec.structs.replace(again, channels=journey.channels, audience=journey.audience) == journey
    assert set(again.channels) == set(journey.channels)
    assert write("sale", written.text, typed_of(again)).text == written.text


@settings(max_examples=30)
@given(journeys(), st.data())
def test_comments_and_order_stay_whatever_is_changed(journey, data):
    """Each line of a text that has other fields than the changed one is there as it was, in its place."""
    text = _with_comments(write("sale", SHIPPED, typed_of(journey)).text)
    bound = ("discount_depths", "max_discount_percent", "gift", "free_shipping", "audience", "steps")
    changed = data.draw(st.sampled_from([name for name in FIELDS if name not in bound]))
    other = data.draw(journeys())
    form = {**typed_in_text("sale", text), changed: typed_of(other)[changed]}

    written = write("sale", text, form)

    assert written.wrong == {}
    kept = [line for line in text.splitlines() if not line.startswith(f"{changed} =")]
    assert [line for line in written.text.splitlines() if not line.startswith(f"{changed} =")] == kept
    assert written.text.count("# why ") == text.count("# why ")


def test_comments_on_steps_stay_where_they_are():
    """A step that moves takes its own along; one that is removed takes them away."""
    steps = ['[[steps]]\nname = "one" # greets\n\n', '[[steps]]\nname = "two" # reminds\nafter = "24h" # a day\n']
    form = typed_in_text("sale", 'template = "a"\n\n' + "".join(steps))

    moved, _ = changed(form["steps"], "up:1")
    removed, _ = changed(form["steps"], "remove:0")

    def text(texts):
        return write("sale", 'template = "a"\n\n' + "".join(steps), {**form, "steps": texts}).text

    assert [one.strip() for one in text(moved).split("[[steps]]")[1:]] == [
        'name = "two" # reminds\nafter = "24h" # a day',
        'name = "one" # greets',
    ]
    assert "greets" not in text(removed)
    assert "# a day" in text(removed)


def test_the_buttons_of_steps_do_what_they_say():
    """Each shows what to look at next, and the result is a valid journey."""
    texts, shown = typed_in_text("sale", SHIPPED)["steps"], []
    for action in ("add", "add", "variant:1", "variant:1", "without:1:0", "up:1", "down:2", "remove:2", "nonsense:9"):
        texts, at = changed(texts, action)
        shown.append(at)
    steps = FIELDS["steps"].input.read(texts)

    assert [(one.name, [variant.name for variant in one.variants]) for one in steps] == [
        ("step-2", ["b", "c"]),
        ("step-1", []),
    ]
    assert shown == ["step-1", "step-2", "step-1", "step-1", "step-1", "step-0", "step-2", "step-1", "steps"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ["", "two"]}, "step 1: give it a name"),
        ({"name": ["one", "one"]}, "there are two steps one"),
        ({"after": ["soon", "1"]}, "step one: write a number"),
        ({"when": ["", "not opened"]}, "is not tracked"),
        ({"when": ["", "clicked three"]}, "there is no earlier step three; there is one"),
        ({"when": ["clicked", ""]}, "the first step has none before it"),
        ({"gives": ["", "own"], "discount": ["", "101"]}, "step two: discount_percent: 0 to 100"),
        ({"winner": ["", "c"]}, "winner: there is no variant c; there is a, b"),
        ({"share": ["0", "0"]}, "give one variant a share above 0"),
        ({"choose_winner": ["", "luck"]}, "choose winner: by orders or margin, not 'luck'"),
        ({"choose_winner": ["", "orders"], "share": ["1", "0"]}, "give two variants a share above 0"),
        ({"winner_size": ["500", "100"]}, "winner_size: 200 shoppers of each variant at least"),
        ({"variant": ["a", "a"]}, "there are two variants a"),
    ],
)
def test_what_is_wrong_with_a_step_names_the_step(changes, words):
    """And says what to write instead."""
    texts = changed(changed(typed()["steps"], "add")[0], "variant:1")[0]
    texts = {**texts, "name": ["one", "two"]} | changes

    assert words in write("sale", SHIPPED, {**typed(), "steps": texts}).wrong["steps"]


def test_what_is_not_changed_is_not_written():
    """Odd spellings of the same value stay, and what has its usual value is not added."""
    text = 'template   =  "abandoned-cart"  # the usual one\ncap_window = "168h"\nholdout = 0.10\nmargin_percent=40\n'
    text += 'coupon_prefix = " B "\nno_discount_from = inf\n'

    assert write("sale", text, typed_in_text("sale", text)).text == text
    assert write("sale", text, typed(text, cap="5")).text == text + "cap = 5\n"


def test_comments_within_a_list_stay():
    """A list over several lines is changed in place."""
    text = 'template = "a"\nmax_discount = [\n  "50 EUR", # agreed\n  "60 USD",\n]\n'
    form = {**typed_in_text("sale", text), "max_discount": {"amount": ["50", "70"], "currency": ["EUR", "USD"]}}

    assert write("sale", text, form).text == text.replace("60 USD", "70 USD")


@pytest.mark.parametrize(
    ("field", "texts", "words"),
    [
        ("cap", {"": ["three"]}, "write a whole number, such as 10"),
        ("cap", {"": ["-1"]}, "0 or more"),
        ("cap", {"": ["٣"]}, "write a whole number, such as 10"),
        ("discount_percent", {"": ["101"]}, "0 to 100"),
        ("discount_depths", {"": ["5, 25"]}, "25 is not from 0 to Deepest discount = 20"),
        ("margin_percent", {"": ["0"]}, "above 0, up to 100 percent of a price"),
        ("holdout", {"": ["110"]}, "write a number from 0 to 100"),
        ("expires", {"": ["1e3"], "unit": ["d"]}, "write a number, such as 10 or 2.5"),
        ("expires", {"": ["2"], "unit": ["weeks"]}, "write 0 or more, and choose a unit of time"),
        ("expires", {"": ["9" * 30], "unit": ["d"]}, "this is longer than a journey can wait"),
        ("quiet", {"from": ["22:00"], "to": [""]}, "write both times, or leave both empty"),
        ("minimum_value", {"amount": ["20"], "currency": [""]}, "amount '20': write it like 20 EUR"),
        ("minimum_value", {"amount": [""], "currency": ["EUR"]}, None),
        ("channels", {"": []}, "name at least one"),
        ("channels", {"": ["pigeon"]}, "'pigeon' is not registered; there are email, onsite, push, sms"),
        ("time_zone", {"": ["Europe/Atlantis"]}, "'Europe/Atlantis': write one like Europe/Berlin"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(field, texts, words):
    """In the words of the error, with the fields called as the form calls them; an empty row is none."""
    written = write("sale", SHIPPED, {**typed(), field: texts})

    assert written.wrong == ({field: words} if words else {})


def test_all_that_cannot_be_read_is_said_at_once():
    """Nobody corrects one field to learn of the next."""
    wrong = write("sale", SHIPPED, typed(cap="x", holdout="y", priority="")).wrong

    assert set(wrong) == {"cap", "holdout", "priority"}
    assert WHOLE not in wrong


@settings(max_examples=30)
@given(journeys(), journeys(), journeys(), st.sets(st.sampled_from(sorted(FIELDS))))
def test_merging_keeps_what_each_changed(old, theirs, drawn, changed):
    """A field that you changed is yours, every other one theirs, whatever empty rows or order a form sends."""
    before, there = typed_of(old), typed_of(theirs)
    here = {**before, **{name: typed_of(drawn)[name] for name in changed}}

    both = merged(before, there, {name: _as_sent(texts) for name, texts in here.items()})
    shown = {
        conflict.label for conflict in conflicts(before, there, {name: _as_sent(texts) for name, texts in here.items()})
    }

    for name, field in FIELDS.items():
        value, was, now = (field.input.read(one[name]) for one in (both, before, here))
        other, same = field.input.read(there[name]), field.input.same
        assert same(value, other if same(now, was) else now)
        assert (field.label in shown) == (not (same(was, other) and same(was, now)))


def _as_sent(texts):
    """Texts as a browser sends them: with the empty row for one more amount, channels in the order of the page."""
    if "amount" in texts:
        return {part: [*rows, ""] for part, rows in texts.items()}
    if "kind" in texts or "when" in texts:
        return texts
    return {part: sorted(rows) for part, rows in texts.items()}


def test_a_difference_is_said_field_by_field():
    """In words, shares in percent; a change of comments alone is said to be one."""

    def changes(after):
        found = differences("sale", {"journey.toml": SHIPPED}, {"journey.toml": after})
        return [(one.label, one.before, one.after) for one in found.changes], found.note

    assert changes(SHIPPED.replace("holdout = 0.0", "holdout = 0.05").replace('"1d"', '"36h"')) == (
        [("Time between offers", "1 day", "36 hours"), ("Held out", "0 %", "5 %")],
        "",
    )
    assert changes(SHIPPED + "# more\n") == ([], "Only comments or the order of lines differ.")
    assert changes(SHIPPED) == ([], "Nothing differs.")
    assert "cannot be read any more" in changes("nonsense = 1\n")[1]


def test_a_revision_is_compared_with_the_one_that_was_in_force_before_it():
    """Of two with one number, published on both sides of a cut, each is compared with the revision before both."""
    texts = [SHIPPED.replace("cap = 3", f"cap = {cap}") for cap in (3, 4, 5)]
    numbers = ((2, "eu", "in force"), (2, "us", "lost to the concurrent revision of eu"), (1, "us", "replaced"))
    known = [
        Version(
            state=state,
            document=Document(
                name="sale", revision=number, author="a", region=region, time=NOW, files={"journey.toml": text}
            ),
        )
        for (number, region, state), text in zip(numbers, reversed(texts), strict=True)
    ]

    shown = [
        (one.before, [(change.before, change.after) for change in one.difference.changes] if one.difference else None)
        for one in entries("sale", known)
    ]

    assert shown == [(1, [("3 offers", "5 offers")]), (1, [("3 offers", "4 offers")]), (None, None)]


def test_a_sentence_says_what_a_journey_does():
    """For the one that ships, one that is switched off, and one that never sends."""
    assert sentence(parse("sale", SHIPPED, {})) == (
        "For carts of any value. 30 minutes after the cart is left: e-mail and on site, 0, 5, 10 or 15 % off. "
        "At most 3 offers a week to one shopper, 1 day apart, not between 22:00 and 08:00."
    )
    assert sentence(
        Journey(
            name="sale",
            template="a",
            active=False,
            channels=("onsite",),
            minimum_value=("20 EUR", "25 USD"),
            quiet="",
            cap=1,
            cap_window=timedelta(days=3),
            holdout=0.1,
            explore=0.05,
        )
    ) == (
        "Switched off. When on: for carts of at least 20 EUR or 25 USD. 30 minutes after the cart is left: on site, "
        "10 % off. At most 1 offer in 3 days to one shopper. 10 % of shoppers are held out: they never get an offer. "
        "For 5 % of shoppers the offer is drawn at random."
    )
    assert "But nothing is sent" in sentence(Journey(name="sale", template="a", cap=0))


def test_a_sentence_says_what_happens_in_order(monkeypatch):
    """Each step with its wait, its own ways and discounts, and the part of the shoppers that gets them."""
    monkeypatch.setenv("CARTMESH_ABANDON_AFTER", "45m")
    text = """
discount_depths = [0, 15]
template = "a"
[[steps]]
name = "reminder"
after = "15m"
channels = ["email"]
discount_percent = 0
[[steps]]
name = "offer"
after = "1d"
when = "not clicked reminder"
channels = ["email"]
variants = [{ name = "a", share = 50, discount_percent = 10 }, { name = "b", share = 50, discount_percent = 15 }]
"""
    said = steps_in_words(parse("sale", text, {}))
    by_mail = steps_in_words(parse("sale", text.replace('name = "b"', 'name = "b", template = "bold"'), {}))
    decided = steps_in_words(parse("sale", text + 'winner = "b"\n', {}))

    assert said == [
        "1 hour after the cart is left: e-mail, no discount.",
        "1 day later, only if reminder was not clicked: e-mail, 10 % off (half) or 15 % off (half).",
    ]
    assert by_mail[1].endswith("10 % off by mail a (half) or 15 % off by mail bold (half).")
    assert decided[1].endswith("e-mail, 15 % off (the winner, b).")
    assert running_tests(parse("sale", text, {})) == {"offer": "a against b"}
    assert running_tests(parse("sale", text + 'winner = "b"\n', {})) == {}


def test_what_the_environment_sets_for_all_journeys_is_what_is_said(monkeypatch):
    """A limit that a journey has of its own and that does not hold is not promised."""
    monkeypatch.setenv("CARTMESH_JOURNEY_CONTACT_INTERVAL", "0s")
    monkeypatch.setenv("CARTMESH_JOURNEY_QUIET", "")

    assert sentence(as_decided("sale", SHIPPED)).endswith("At most 3 offers a week to one shopper.")


@settings(max_examples=40)
@given(journeys())
def test_there_is_a_sentence_for_any_journey(journey):
    """It begins with a capital and ends with a full stop."""
    words = sentence(journey)

    assert words[0].isupper()
    assert words.endswith(".")


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("Spring sale", "spring-sale"),
        ("  Frühling, 2027! ", "fruhling-2027"),
        ("back_to-school", "back-to-school"),
        ("!", ""),
    ],
)
def test_a_name_is_made_of_what_people_write(asked, name):
    """Lower-case words joined by dashes, as documents are named."""
    assert name_of(asked) == name


def _with_comments(text):
    """A text with a comment behind and above each field."""
    document = tomlkit.parse(text)
    for key in [one for one in document if one != "steps"]:
        document.item(key).comment(f"why {key}")
    return "# why it is\n" + tomlkit.dumps(document)


def test_the_picture_shows_the_way_of_a_cart():
    """Waits, conditions and variants in their order, and why a step comes later than it says."""
    text = """
template = "a"
contact_interval = "2d"
[[steps]]
name = "hello"
[[steps]]
name = "again"
after = "1d"
when = "not clicked hello"
[[steps.variants]]
name = "x"
share = 3
[[steps.variants]]
name = "y"
template = "b"
discount_percent = 5
"""
    nodes = picture(parse("sale", text, {}))

    assert [(one.kind, one.title) for one in nodes] == [
        ("trigger", "A cart was left"),
        ("send", "E-mail, on site: a"),
        ("wait", "Wait 1 day"),
        ("ask", "Only if hello was not clicked"),
        ("send", "Test of 2 variants"),
        ("end", "End"),
    ]
    assert nodes[2].detail == "Longer, as offers are 2 days apart"
    assert [(one.name, one.share, one.sends, one.gets) for one in nodes[4].branches] == [
        ("x", 75, "E-mail, on site: a", "10 % off"),
        ("y", 25, "E-mail, on site: b", "5 % off"),
    ]
