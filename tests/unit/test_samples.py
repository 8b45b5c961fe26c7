"""Samples of events: made from their classes, and read by them."""

import msgspec
import pytest

from mesh.event import declaration_of, declared
from mesh.events.cart import CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.runtime.discovery import discover
from mesh.topology.derive.samples import ENCRYPTED, cloud_event, sample

discover()


@pytest.mark.parametrize("declaration", list(declared()), ids=lambda one: one.type)
def test_each_events_sample_is_that_event(declaration):
    """With every field it may have."""
    data = sample(declaration)

    read = msgspec.json.decode(msgspec.json.encode(data), type=declaration.kind)

    assert isinstance(read, declaration.kind)
    assert data.keys() == {field.encode_name for field in msgspec.structs.fields(declaration.kind)}


def test_a_sample_stands_in_its_envelope():
    """The subject is the event's key, and personal fields look as they are stored."""
    cart, person = (cloud_event(declaration_of(kind)) for kind in (CartUpdated, CustomerIdentified))

    assert (cart["type"], cart["subject"]) == ("cart.updated.v1", cart["data"]["cart_id"])
    assert cart["data"]["lines"][0]["price"]["currency"] == "EUR"
    assert person["data"]["email"] == ENCRYPTED
