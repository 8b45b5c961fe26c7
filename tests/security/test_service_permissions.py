"""What each service of the shop may do with its NATS user, by the permissions that the servers are given."""

import re
from pathlib import Path

import pytest

from mesh.event import declaration_of
from mesh.runtime.discovery import discover
from mesh.subjects import matches
from mesh.topology.derive.permissions import service_permissions
from mesh.topology.mesh_toml import Topology

TOPOLOGY, SERVICES = Topology.load("mesh.toml"), discover()
"""The permissions are looked at as they are for `us`."""


@pytest.fixture(scope="module")
def granted():
    """The permissions of each service; one that only accepts events is run by the gateway, and has no user."""
    return {
        one.name: service_permissions(one, "us", SERVICES, TOPOLOGY.layout, others=("eu", "ap"))
        for one in SERVICES
        if not one.hosted
    }


def may_publish(permissions, subject):
    allowed, never = permissions.publish, permissions.never
    return any(matches(one, subject) for one in allowed) and not any(matches(one, subject) for one in never)


def who(granted, *subjects):
    """The services that may publish one of these subjects."""
    return {name for name, one in granted.items() if any(may_publish(one, subject) for subject in subjects)}


@pytest.mark.parametrize(
    ("fact", "writers"),
    [
        ("ev.us.payment.captured.o1", {"payments"}),
        ("ev.us.payment.refunded.o1", {"payments"}),
        ("ev.us.payment.capture_requested.o1", {"checkout"}),
        ("ev.us.payment.refund_requested.o1", {"checkout"}),
        ("ev.us.payment.flagged.o1", {"fraud"}),
        ("ev.us.fraud.cleared.o1", {"fraud"}),
        ("ev.us.order.created.o1", {"orders"}),
        ("ev.us.order.cancelled.o1", {"orders"}),
        ("ev.us.order.confirmed.o1", {"orders", "gateway"}),
        ("pii.us.order.delivery_addressed.o1", {"orders"}),
        ("ev.us.checkout.advanced.o1", {"checkout"}),
        ("ev.us.shipment.requested.o1", {"checkout"}),
        ("ev.us.stock.reservation_requested.o1", {"checkout"}),
        ("ev.us.stock.level_changed.s1", {"stock"}),
        ("ev.us.stock.loan_granted.l1", {"stock"}),
        ("ev.eu.stock.loan_granted.l1", set()),
        ("ev.us.code.changed.c1", {"promotions"}),
        ("ev.eu.code.answered.r1", set()),
        ("ev.us.code.claim_requested.o1", {"checkout"}),
        ("ev.us.budget.changed.sale", {"offers"}),
        ("pii.us.customer.unsubscribed.v1", {"links"}),
        ("ev.us.address.suppressed.a1", {"mail-reports"}),
        ("ev.us.mail.bounced.a1", {"mail-reports"}),
        ("ev.us.sending.paused.example_com", {"mail-reports"}),
        ("ev.us.offer.decided.a1", {"offers"}),
        ("ev.us.product.listed.p1", {"gateway"}),
    ],
)
def test_a_fact_has_its_writers_alone(granted, fact, writers):
    """Whoever has another service's password charges, refunds, ships, clears and lists nothing."""
    assert who(granted, fact) == writers


def test_personal_data_is_read_by_those_whose_work_it_is(granted):
    """Stock, payments, fraud and checkout know an order's number, and no name, address or key."""
    reads = ("$JS.API.STREAM.MSG.GET.PERSONAL_us", "$JS.API.DIRECT.GET.PERSONAL_us.pii.us.order.delivery_addressed.o1")

    assert who(granted, *reads) == _listed("personal data is its work")
    without_keys = {"lake", "links", "mail-reports"}
    assert (
        who(granted, "$JS.API.STREAM.MSG.GET.KV_personal-keys") == _listed("personal data is its work") - without_keys
    )
    creating = "$JS.API.CONSUMER.CREATE.PERSONAL_us"
    assert who(granted, creating, f"{creating}.thief", f"{creating}.thief.pii.us.>") == set()


def test_timers_are_cancelled_by_those_who_write_to_their_stream(granted):
    """Those who publish an event of it, and the gateway for those it hosts; of stock's stream stock and checkout."""
    commerce = TOPOLOGY.layout.commerce
    writers = {
        one.name
        for one in SERVICES
        if any(TOPOLOGY.layout.family_of(declaration_of(kind)) == commerce for kind in one.publishes) and not one.hosted
    }

    assert who(granted, "carrier.us.commerce.x") == writers | {"gateway"}
    assert writers > {"carts", "offers", "orders"}
    assert who(granted, "carrier.us.stock.x") == {"stock", "checkout"}


def _listed(words):
    """The services that a line of the README's table names."""
    lines = Path("mesh/README.md").read_text().splitlines()
    (line,) = [line for line in lines if words in line and line.startswith("| can")]
    return set(re.findall(r"`([a-z-]+)`", line.split("(", 1)[1].split(")", 1)[0]))
