"""Signed mails: with a key, `channels` signs every mail that it sends, of whatever kind."""

import re

import dkim
import pytest

from mesh.events.order import Command, OrderConfirmed, OrderCreated, OrderDeliveryAddressed
from notifications.mail_keys import make_key
from tests.stories.offers.conftest import LINE

PRIVATE, PUBLIC = make_key("rsa")
PATIENCE = 60.0


@pytest.fixture
def key(tmp_path, monkeypatch):
    """The key in a file, as a mounted Secret is."""
    path = tmp_path / "dkim.pem"
    path.write_text(PRIVATE)
    monkeypatch.setenv("CARTMESH_DKIM_KEY", str(path))
    monkeypatch.setenv("CARTMESH_DKIM_SELECTOR", "k1")


async def test_offers_confirmations_and_mails_about_orders_are_signed(at_work, shop, box, journeys, key):
    """Each verifies as the mail server received it, and names the domain of the sender."""
    journeys(cart='channels = ["email"]', dear='double_opt_in = true\nminimum_value = ["999 EUR"]')
    async with at_work():
        await shop.identify("ada", name="Ada")
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        await _order(shop)

        mails = await box.wait_for(3, PATIENCE)

    received = [(box.folder / mail.file).read_bytes() for mail in mails]
    kinds = sorted((*mail.recipients, bool(mail.offer_id)) for mail in mails)
    assert kinds == [("ada@example.test", False), ("ada@example.test", True), ("grace@example.test", False)]
    assert [dkim.verify(one, dnsfunc=_dns) for one in received] == [True] * 3
    assert {re.search(rb"; d=([^;]+); s=([^;]+);", one).groups() for one in received} == {(b"shop.example.test", b"k1")}


async def _order(shop):
    """Grace's order is confirmed."""
    address = OrderDeliveryAddressed(order_id="o1", address_id="a1", name="Grace", email="grace@example.test")
    created = OrderCreated(
        order_id="o1",
        lines=(LINE,),
        total=LINE.price * LINE.quantity,
        payment_method="tok",
        command=Command(key="k", body="b"),
        visitor_id="grace",
        address_id="a1",
    )
    for event in (address, created, OrderConfirmed(order_id="o1", lines=(LINE,), total=created.total)):
        await shop.mesh.publish(event)


def _dns(name, **_):
    return f"v=DKIM1; k=rsa; p={PUBLIC}".encode() if name == b"k1._domainkey.shop.example.test." else None
