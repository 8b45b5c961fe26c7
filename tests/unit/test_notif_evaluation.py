"""Evaluation: every check decides as it says, and sent means that all passed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import DeclarationError
from mesh.events.contact import Contact
from mesh.events.user import Advice, Arm
from mesh.money import Money
from notifications.decision_input import DecisionInput, PriorityClaim
from notifications.evaluation import evaluate
from notifications.experiment import in_holdout
from notifications.journeys import Journey, load
from notifications.margin import own_discount

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
JOURNEY = Journey(name="test", template="abandoned-cart")
MAIL = {"channels": ("email",)}


def inputs(**changes):
    fields = {
        "cart": "left",
        "cart_detail": "unchanged",
        "due": NOW - timedelta(seconds=1),
        "total": Money(amount=9000, currency="EUR"),
        "person": "ada",
        "email_known": True,
        "consent": {"email": True},
        "time_zone": "Europe/Berlin",
    }
    return DecisionInput(**{**fields, **changes})


def journey(**changes):
    return Journey(**{"name": "test", "template": "abandoned-cart", **changes})


def test_an_ordinary_left_cart_is_sent_on_all_open_channels():
    """Nothing stands against it."""
    evaluation = evaluate(inputs(), JOURNEY, NOW)

    assert (evaluation.outcome, evaluation.reason, evaluation.held_until) == ("approved", "", None)
    assert evaluation.channels == ("email", "onsite")
    assert evaluation.discount_percent == 10


@pytest.mark.parametrize(
    ("fields", "rules", "reason"),
    [
        ({"cart": "bought"}, {}, "bought"),
        ({"cart": "moved on"}, {}, "cart moved on"),
        ({"due": NOW - timedelta(days=3)}, {}, "too late"),
        ({"total": Money(amount=0, currency="EUR")}, {}, "nothing of value in the cart"),
        ({}, {"minimum_value": ("100 EUR",)}, "cart below the minimum value"),
        ({"email_known": False}, MAIL, "no e-mail address"),
        ({"email_confirmed": False}, {"double_opt_in": True, **MAIL}, "address not confirmed"),
        ({"consent": {}}, MAIL, "no consent"),
        ({"consent": {"onsite": False, "email": True}}, {"channels": ("onsite",)}, "no consent"),
        ({"consent": {"email": False}}, {"assume_consent": True, **MAIL}, "no consent"),
        ({"unsubscribed": frozenset({"email"})}, MAIL, "unsubscribed"),
        ({}, {"holdout": 1.0}, "holdout"),
        ({"contacts": (Contact(offer_id="o", at=NOW - timedelta(days=1)),)}, {"cap": 1}, "frequency cap"),
        (
            {"contacts": (Contact(offer_id="o", at=NOW - timedelta(hours=1)),)},
            {"contact_interval": timedelta(days=3)},
            "time between contacts",
        ),
        (
            {"regions": ("eu",), "staleness": {"eu": None}, "due": NOW - timedelta(minutes=11), "away": True},
            {},
            "region out of date",
        ),
        (
            {"regions": ("eu",), "staleness": {"eu": None}, "due": NOW - timedelta(minutes=11)},
            {},
            "region out of date",
        ),
    ],
)
def test_each_check_can_drop_an_offer_with_its_reason(fields, rules, reason):
    """One thing wrong is enough, and the reason is the one that was wrong."""
    evaluation = evaluate(inputs(**fields), journey(**rules), NOW)

    assert (evaluation.outcome, evaluation.reason) == ("dropped", reason)
    assert [check.passed for check in evaluation.checks].count(False) == 1


@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        ({"consent": {}}, {"assume_consent": True}),
        ({}, {"minimum_value": ("90 EUR", "1000 JPY")}),
        ({"contacts": (Contact(offer_id="o", at=NOW - timedelta(days=8)),)}, {"cap": 1}),
        ({"regions": ("eu",), "staleness": {"eu": timedelta(seconds=2)}}, {}),
        ({"staleness": {"eu": None}}, {}),
        ({"consent": {}, "email_known": False}, {"channels": ("onsite",)}),
    ],
)
def test_what_only_looks_like_a_hindrance_is_none(fields, rules):
    """Old contacts, fresh regions, other regions of no concern, the shop's own pages."""
    assert evaluate(inputs(**fields), journey(**rules), NOW).outcome == "approved"


@pytest.mark.parametrize(
    ("known", "rules", "open_"),
    [
        ({"consent": {"email": False}}, {}, ("onsite",)),
        ({"consent": {}}, {}, ("onsite",)),
        ({"email_known": False}, {}, ("onsite",)),
        ({"unsubscribed": frozenset({"email"})}, {}, ("onsite",)),
        ({}, {"double_opt_in": True}, ("onsite",)),
        ({"email_confirmed": True}, {"double_opt_in": True}, ("email", "onsite")),
        ({"consent": {"email": True, "onsite": False}}, {}, ("email",)),
    ],
)
def test_a_channel_that_is_closed_closes_no_other(known, rules, open_):
    """Without consent for e-mail there is still the card on the site; the decision shows which check closed what."""
    evaluation = evaluate(inputs(**known), journey(**rules), NOW)

    closed = {check.channel for check in evaluation.checks if not check.passed}
    assert (evaluation.outcome, evaluation.reason, evaluation.channels) == ("approved", "", open_)
    assert closed == {"email", "onsite"} - set(open_)


def test_an_offer_is_held_until_the_last_contact_is_long_enough_ago():
    """The decision says how long ago it was; at the moment that it names the offer is approved."""
    rules, last = journey(contact_interval=timedelta(days=1)), NOW - timedelta(hours=3)
    contacts = (Contact(offer_id="old", at=NOW - timedelta(days=2)), Contact(offer_id="new", at=last))

    held = evaluate(inputs(contacts=contacts), rules, NOW)
    later = evaluate(inputs(contacts=contacts), rules, held.held_until)

    (check,) = [one for one in held.checks if not one.passed]
    assert (held.outcome, held.reason, held.held_until) == ("held", "time between contacts", last + timedelta(days=1))
    assert check.value == "3 h since the last contact, at least 1 d"
    assert later.outcome == "approved"


def test_quiet_hours_hold_to_their_end_in_the_shoppers_zone():
    """12:00 UTC is 21:00 in Tokyo: with quiet hours from 20:00 it is held until 08:00 there."""
    evaluation = evaluate(inputs(time_zone="Asia/Tokyo"), journey(quiet="20:00-08:00"), NOW)

    assert (evaluation.outcome, evaluation.reason) == ("held", "quiet hours")
    assert evaluation.held_until == datetime(2026, 11, 20, 23, 0, tzinfo=UTC)


@pytest.mark.parametrize("unknown", [None, "Nowhere/At_All"])
@pytest.mark.parametrize(
    ("known", "rules", "until"),
    [
        ({"utc_offset": 540, "region_zone": "Europe/Berlin"}, {"time_zone": "Europe/Berlin"}, "2026-11-20T23:00+00:00"),
        ({"region_zone": "America/New_York"}, {"time_zone": "Asia/Tokyo"}, "2026-11-20T23:00+00:00"),
        ({"region_zone": "Asia/Singapore"}, {}, "2026-11-21T00:00+00:00"),
        ({"region_zone": "Europe/Berlin"}, {}, None),
    ],
)
def test_of_an_unknown_zone_the_carts_offset_counts_then_the_journeys_zone_then_the_regions(
    unknown, known, rules, until
):
    """Nobody is mailed at night because their browser's zone is one that nobody knows."""
    evaluation = evaluate(inputs(time_zone=unknown, **known), journey(quiet="20:00-08:00", **rules), NOW)

    assert evaluation.held_until == (until and datetime.fromisoformat(until))


def test_a_drop_counts_more_than_a_hold_and_of_holds_the_longest():
    """Nobody waits for the morning to be dropped; and a hold ends when the last reason for it does."""
    quiet, stale = {"time_zone": "Asia/Tokyo"}, {"regions": ("eu",), "staleness": {"eu": None}}
    rules = journey(quiet="20:00-08:00")

    assert evaluate(inputs(**quiet, cart="bought"), rules, NOW).outcome == "dropped"
    assert evaluate(inputs(**quiet, **stale), rules, NOW).reason == "quiet hours"
    assert evaluate(inputs(**stale), rules, NOW).held_until == NOW + timedelta(seconds=2)


def test_the_discount_respects_every_limit():
    """Whole percent, the journey's, its maximum, the amount, and none for those who return anyway."""
    assert own_discount(inputs(propensity=0.95), JOURNEY) == 0
    assert own_discount(inputs(propensity=0.5), JOURNEY) == 10
    assert own_discount(inputs(), journey(discount_percent=30)) == 20
    assert own_discount(inputs(total=Money(amount=100_000, currency="EUR")), journey(max_discount=("50 EUR",))) == 5


def test_the_holdout_is_stable_and_of_the_size_it_says():
    """The same shopper always, and about that share of all."""
    rules = journey(holdout=0.2)
    people = [f"visitor-{at}" for at in range(5000)]

    share = sum(in_holdout(one, rules) for one in people) / len(people)

    assert 0.17 < share < 0.23
    assert all(in_holdout(one, rules) == in_holdout(one, rules) for one in people[:100])
    assert not any(in_holdout(one, journey(holdout=0)) for one in people)


times = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  a range
any_facts = st.builds(
    DecisionInput,
    cart=st.sampled_from(["left", "moved on", "bought"]),
    cart_detail=st.just("as fields"),
    due=times,
    total=st.builds(Money, amount=st.integers(0, 10**7), currency=st.sampled_from(["EUR", "JPY"])),
    person=st.text(min_size=1, max_size=5),
    email_known=st.booleans(),
    consent=st.dictionaries(st.sampled_from(["email", "onsite"]), st.booleans()),
    unsubscribed=st.frozensets(st.sampled_from(["email", "onsite"])),
    time_zone=st.sampled_from([None, "Europe/Berlin", "Asia/Tokyo", "America/New_York"]),
    contacts=st.lists(st.builds(Contact, offer_id=st.text(max_size=3), at=times), max_size=4).map(tuple),
    regions=st.sampled_from([(), ("eu",)]),
    staleness=st.dictionaries(st.just("eu"), st.none() | st.timedeltas(timedelta(0), timedelta(minutes=1))),
    propensity=st.none() | st.floats(0, 1),
    advice=st.none()
    | st.builds(
        Advice,
        version=st.just("v"),
        decision=st.sampled_from(["target", "all", "none"]),
        explanation=st.just("as learnt"),
        unaided=st.floats(0, 1),
        arms=st.lists(
            st.builds(Arm, discount_percent=st.sampled_from([0, 5, 10, 15]), purchase=st.floats(0, 1)), max_size=3
        ).map(tuple),
    ),
)
any_journey = st.builds(
    Journey,
    name=st.just("any"),
    template=st.just("abandoned-cart"),
    channels=st.sampled_from([("email",), ("onsite",), ("email", "onsite")]),
    minimum_value=st.sampled_from([(), ("20 EUR",)]),
    cap=st.integers(0, 3),
    contact_interval=st.sampled_from([timedelta(0), timedelta(days=1), timedelta(days=900)]),
    holdout=st.sampled_from([0.0, 0.5]),
    explore=st.sampled_from([0.0, 0.5, 1.0]),
    discount_depths=st.sampled_from([(), (0, 5, 10, 15), (20,)]),
    max_discount=st.sampled_from([(), ("8 EUR",)]),
    assume_consent=st.booleans(),
    expires=st.just(timedelta(days=400)),
    quiet=st.sampled_from(["", "22:00-08:00", "09:00-17:00"]),
)


@given(any_facts, any_journey, times)
def test_sent_means_that_every_check_passed(fields, rules, now):
    """All but those of a channel that is not used. What is not sent has a reason and a failed check."""
    evaluation = evaluate(fields, rules, now)

    used = [check for check in evaluation.checks if check.channel is None or check.channel in evaluation.channels]
    failed = [check for check in evaluation.checks if not check.passed]
    assert (evaluation.outcome == "approved") == (all(check.passed for check in used) and bool(evaluation.channels))
    assert evaluation.outcome == "approved" or failed
    assert (evaluation.outcome == "approved") == (evaluation.reason == "")
    assert (evaluation.outcome == "held") == (evaluation.held_until is not None)
    assert evaluation.held_until is None or evaluation.held_until > now
    assert evaluation.outcome != "approved" or not {check.channel for check in failed} & set(evaluation.channels)
    assert evaluation.discount_percent <= rules.max_discount_percent
    assert evaluation.discount_percent == 0 or evaluation.assignment.arm == str(evaluation.discount_percent)
    assert 0 < evaluation.assignment.probability <= 1
    assert evaluation.outcome != "approved" or evaluation.assignment.eligible
    assert evaluation.outcome != "held" or not evaluation.assignment.eligible
    assert evaluation == evaluate(fields, rules, now)


def test_a_journey_comes_from_its_file_and_the_environment_overrides_it():
    """CARTMESH_JOURNEY_<FIELD> wins; the rest is the file's."""
    fields = load("abandoned-cart", {"CARTMESH_JOURNEY_CAP": "1", "CARTMESH_JOURNEY_QUIET": ""})

    assert (fields.name, fields.cap, fields.quiet) == ("abandoned-cart", 1, "")
    assert fields.max_discount[0] == "50 EUR"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('template = "t"\ncolour = "red"', "unknown colour"),
        ('template = "t"\nquiet = "late"', "quiet = 'late'"),
        ('template = "t"\nholdout = 2', "share from 0 to 1"),
        ('template = "t"\nexplore = 10', "every tenth shopper"),
        ('template = "t"\nmargin_percent = 0', "percent of a price"),
        ('template = "t"\ndiscount_depths = [0, 30]', "30 is not from 0 to max_discount_percent = 20"),
        ('template = "t"\ndiscount_depths = ["much"]', "DISCOUNT_DEPTHS"),
        ('template = "t"\ncontact_cost = ["a cent"]', "amount 'a cent'"),
        ('template = "t"\nminimum_value = ["much"]', "amount 'much'"),
        ('template = "t"\ntime_zone = "Mars"', "Europe/Berlin"),
        ('template = "t"\nscore_limit = "soon"', "SCORE_LIMIT"),
        ("template", "journey wrong"),
    ],
)
def test_a_wrong_journey_says_what_is_wrong(tmp_path, text, words):
    """Refused at start, naming the field."""
    (tmp_path / "wrong.toml").write_text(text)

    with pytest.raises(DeclarationError, match=words):
        load(str(tmp_path / "wrong.toml"), {})


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("CARTMESH_JOURNEY_DISCONT", "a journey has no field discont to override; did you mean"),
        ("CARTMESH_JOURNEY_NAME", "a journey has no field name to override"),
        ("CARTMESH_JOURNEY_XYZ", "there are active, priority"),
    ],
)
def test_an_override_of_a_field_that_does_not_exist_is_refused(variable, words):
    """A mistyped variable would otherwise be ignored, and the journey send what nobody wanted."""
    with pytest.raises(DeclarationError, match=words):
        load("abandoned-cart", {variable: "5"})


def test_the_last_contact_is_kept_for_a_held_journey_of_higher_priority():
    """Held until that one has been decided; with contacts enough for both it is not."""
    claim = PriorityClaim(journey="spring-sale", priority=9, until=NOW + timedelta(minutes=5))

    waiting = evaluate(inputs(before=(claim,)), journey(cap=1), NOW)

    assert (waiting.outcome, waiting.reason) == ("held", "journey of higher priority")
    assert waiting.held_until == claim.until + timedelta(seconds=2)
    assert evaluate(inputs(before=(claim,)), journey(cap=2), NOW).outcome == "approved"


@pytest.mark.parametrize("whose", ["low", "high"])
def test_a_held_journey_of_higher_priority_is_contacted_first_where_time_must_lie_between_them(whose):
    """Whichever of the two wants that time: the lower one would use up the other's moment."""
    least = timedelta(days=1)
    until = NOW + timedelta(minutes=5)
    claim = PriorityClaim(
        journey="spring-sale", priority=9, until=until, contact_interval=least if whose == "high" else timedelta(0)
    )
    rules = journey(contact_interval=least) if whose == "low" else journey()

    waiting = evaluate(inputs(before=(claim,)), rules, NOW)

    assert (waiting.outcome, waiting.reason) == ("held", "journey of higher priority")
    assert waiting.held_until == until + timedelta(seconds=2)
