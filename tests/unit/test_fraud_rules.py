"""An order is judged by what its card, device, addresses and customer did before, and by nothing that is unknown."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from mesh import Money
from mesh.errors import DeclarationError
from mesh.events.fraud import FraudCheckRequested
from mesh.events.order import OrderConfirmed
from services.fraud.memory import Memory
from services.fraud.rules import FraudSettings, Rules, judge, rules_of

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
NO_RULES = FraudSettings(
    fraud_velocity=(), fraud_amount_weight=0, fraud_account_weight=0, fraud_address_weight=0, fraud_country_weight=0
)


def euros(amount):
    return Money(amount=amount, currency="EUR")


def asked(order="o1", amount=4200, **fields):
    return FraudCheckRequested(order_id=order, amount=euros(amount), **fields)


def matches(check, memory, at=NOW, **settings):
    """Rule and reason of everything that matches."""
    found = judge(check, at, memory, Rules(rules_of(FraudSettings(**settings))))
    return [(one.rule, one.reason) for one in found]


@pytest.mark.parametrize("name", ["card", "device", "address", "email"])
@pytest.mark.parametrize(("window", "age"), [("1m", 59), ("1h", 3599), ("24h", 86399)])
def test_more_orders_than_allowed_in_a_window_match(name, window, age):
    """The order itself counts; the window begins just behind it."""
    rule, memory = f"{name}/{window}>2=50", Memory()
    memory.add(asked("o1", **{name: "x"}), NOW - timedelta(seconds=age))
    memory.add(asked("o2", **{name: "x"}), NOW)
    memory.add(asked("other", **{name: "y"}), NOW)

    assert matches(asked("o2", **{name: "x"}), memory, fraud_velocity=(rule,)) == []

    memory.add(asked("o3", **{name: "x"}), NOW)

    assert [(rule, f"3 orders of one {name} in {window}")] == matches(
        asked("o3", **{name: "x"}), memory, fraud_velocity=(rule,)
    )

    late = NOW + timedelta(seconds=2)
    memory.add(asked("o4", **{name: "x"}), late)

    assert [(rule, f"3 orders of one {name} in {window}")] == matches(
        asked("o4", **{name: "x"}), memory, late, fraud_velocity=(rule,)
    )


def test_an_order_that_is_asked_about_again_counts_once():
    """Whatever the order and number of deliveries, it is judged the same."""
    checks = [(asked(f"o{number}", card="x"), NOW + timedelta(seconds=number)) for number in range(4)]
    judged = set()
    for order in permutations([*checks, checks[1]]):
        memory = Memory()
        for check, at in order:
            memory.add(check, at)
        memory.add(checks[3][0], NOW + timedelta(minutes=5))
        judged.add(tuple(matches(checks[3][0], memory, NOW + timedelta(minutes=5), fraud_velocity=("card/1m>3=9",))))

    assert {(("card/1m>3=9", "4 orders of one card in 1m"),)} == judged


def test_what_happens_after_an_order_does_not_count_against_it():
    """It may be judged late."""
    memory = Memory()
    for number in range(5):
        memory.add(asked(f"o{number}", card="x"), NOW + timedelta(seconds=number))

    assert matches(asked("o0", card="x"), memory, fraud_velocity=("card/1m>1=9",)) == []


def test_an_amount_far_above_the_customers_own_matches():
    """With enough orders in the same currency; the order itself is none of them."""
    memory = Memory()
    for number in range(3):
        memory.spent(confirmed(f"old{number}", 1000))
    memory.spent(confirmed("o1", 900000))
    memory.spent(confirmed("usd", 10, "USD"))

    assert matches(asked(amount=5001, customer_id="c"), memory) == [("amount", "50.01 EUR, usually 10.00")]
    assert matches(asked(amount=5000, customer_id="c"), memory) == []
    assert matches(asked(amount=900000, customer_id="new"), memory) == []
    assert matches(asked(amount=900000), memory) == []


def confirmed(order, amount, currency="EUR"):
    return OrderConfirmed(order_id=order, lines=(), total=Money(amount=amount, currency=currency), customer_id="c")


def test_new_accounts_and_addresses_that_differ_match():
    """Another country weighs more than another address, and is not counted twice."""
    memory = Memory()
    new = asked(account_created=NOW - timedelta(hours=2))
    elsewhere = asked(billing_address="a", address="b")
    abroad = asked(billing_address="a", address="b", billing_country="DE", delivery_country="FR")

    assert matches(new, memory) == [("account", "the account is 2.0 h old")]
    assert matches(asked(account_created=NOW - timedelta(days=2)), memory) == []
    assert matches(elsewhere, memory) == [("address", "the bill goes to another address than the parcel")]
    assert matches(abroad, memory) == [("country", "the bill goes to DE, the parcel to FR")]


def test_what_is_unknown_and_what_is_turned_off_matches_nothing():
    """A guest without an address is not suspicious for that."""
    memory = Memory()
    everything = asked(account_created=NOW, billing_country="DE", delivery_country="FR", card="x")

    assert matches(asked(billing_address="a", delivery_country="FR"), memory) == []
    assert judge(everything, NOW, memory, Rules(rules_of(NO_RULES))) == []


@pytest.mark.parametrize(
    "text", ["", "card", "card/1h>x=5", "name/1h>1=5", "card/25h>1=5", "card/1y>1=5", "card/0s>1=5"]
)
def test_a_rule_that_says_nothing_stops_the_start(text):
    """With the text and how to write it."""
    with pytest.raises(DeclarationError, match="velocity rule"):
        Rules(rules_of(FraudSettings(fraud_velocity=(text,))))
