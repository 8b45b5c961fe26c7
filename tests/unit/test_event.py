"""Events: declared by rule, frozen, keyed; and money."""

from decimal import Decimal

import msgspec
import pytest

from mesh.errors import DeclarationError
from mesh.event import Event, declaration_of, declared, event, find, key_of
from mesh.events.cart import CartIdle, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.interaction import ProductViewed
from mesh.money import Money, minor_digits
from mesh.subjects import token


@pytest.mark.parametrize(
    ("kind", "type_", "root"),
    [
        (CartUpdated, "cart.updated.v1", "ev"),
        (ProductViewed, "interaction.product_viewed.v1", "ev"),
        (CustomerIdentified, "customer.identified.v1", "pii"),
    ],
)
def test_the_wire_type_follows_from_module_and_name(kind, type_, root):
    """`CartUpdated` in `cart.py` is `cart.updated.v1`; personal events have their own root."""
    declaration = declaration_of(kind)

    assert (declaration.type, declaration.root) == (type_, root)
    assert find(type_) is declaration


def test_an_unknown_type_is_none():
    """`find` answers None for what nobody declared."""
    assert find("cart.exploded.v1") is None


def test_every_declared_event_can_be_a_subject():
    """Domain and action of each are tokens; types are listed once, in order."""
    types = [declaration.type for declaration in declared()]

    assert types == sorted(set(types))
    assert all(token(declaration.domain) and token(declaration.action) for declaration in declared())
    assert all(declaration.key in declaration.kind.__struct_fields__ for declaration in declared())


def test_an_undeclared_event_says_what_to_do():
    """The message names the class and the decorator."""

    class CartPainted(Event):
        """A cart was painted."""

    with pytest.raises(DeclarationError, match=r"CartPainted is not declared: put @event"):
        declaration_of(CartPainted)


def test_a_key_that_is_no_field_is_refused():
    """The message names the key and the fields."""

    class CartPainted(Event):
        """A cart was painted."""

        cart_id: str

    with pytest.raises(DeclarationError, match=r"key='colour' is not one of its fields \('cart_id',\)"):
        event(key="colour")(CartPainted)


def test_an_event_without_a_docstring_is_refused():
    """Merchants read it in the catalogue."""

    class CartPainted(Event):
        cart_id: str

    CartPainted.__doc__ = None

    with pytest.raises(DeclarationError, match="needs a docstring"):
        event(key="cart_id")(CartPainted)


def test_a_taken_wire_type_is_refused():
    """Two classes cannot claim one type; the message names both."""
    module = CartIdle.__module__
    body = {"__annotations__": {"cart_id": str}, "__module__": module, "__doc__": "Nobody touched a cart."}
    other = type(Event)("Idle", (Event,), body, frozen=True, kw_only=True)

    with pytest.raises(DeclarationError, match=r"cart\.idle is declared twice: CartIdle and Idle"):
        event(key="cart_id")(other)

    assert find("cart.idle.v1").kind is CartIdle


def test_events_are_frozen_values():
    """Equal by content, and nobody changes what happened."""
    idle = CartIdle(cart_id="c1", update_id="u1")

    assert idle == CartIdle(cart_id="c1", update_id="u1")
    assert key_of(idle) == "c1"
    with pytest.raises(AttributeError):
        idle.cart_id = "c2"


def test_money_is_exact():
    """Sums and products in minor units, decimals by currency (ISO 4217)."""
    price = Money(amount=1299, currency="EUR")

    assert price + price * 2 == Money(amount=3897, currency="EUR")
    assert price.decimal() == Decimal("12.99")
    assert Money(amount=1299, currency="JPY").decimal() == Decimal(1299)
    assert Money(amount=1299, currency="KWD").decimal() == Decimal("1.299")
    assert minor_digits("XXX") == 2


def test_currencies_do_not_mix():
    """Adding yen to euros is a mistake of the program."""
    with pytest.raises(ValueError, match="cannot add JPY to EUR"):
        Money(amount=1, currency="EUR") + Money(amount=1, currency="JPY")


def test_an_unknown_field_on_the_wire_is_ignored():
    """A newer writer may add optional fields without breaking older readers."""
    body = b'{"cart_id": "c1", "update_id": "u1", "colour": "red"}'

    assert msgspec.json.decode(body, type=CartIdle) == CartIdle(cart_id="c1", update_id="u1")


@pytest.mark.parametrize("personal", [True, False])
def test_only_what_may_be_absent_is_encrypted(personal):
    """An encrypted field is `str | None = None` of a personal event: it reads as None once its key was destroyed."""
    with pytest.raises(DeclarationError, match="must be `str"):

        @event(key="visitor_id", personal=personal, encrypted=("phone",) if personal else ("name",))
        class CustomerCalled(Event):
            """A customer called."""

            visitor_id: str
            phone: str
            name: str | None = None
