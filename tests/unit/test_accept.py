"""What services declare of events from outside, and what may follow from that."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from mesh import Mesh, Service
from mesh.accept import SERVER, Sent
from mesh.errors import DeclarationError
from mesh.events.cart import CartConverted, CartIdle, CartUpdated
from mesh.events.order import OrderPlaced
from mesh.events.product import ProductListed
from mesh.money import Money
from mesh.runtime.discovery import discover
from mesh.runtime.hosting import hosting
from mesh.topology.check import check
from mesh.topology.derive.alerts import alerts
from mesh.topology.derive.permissions import service_permissions
from mesh.topology.derive.services import deployed
from mesh.topology.mesh_toml import Topology

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ORDER = OrderPlaced(
    order_id="o1", visitor_id="v1", lines=(), total=Money(amount=1, currency="EUR"), customer_id="ada", cart_id="c1"
)


def accepting(name="shop", **options):
    service = Service(name, publishes=(ProductListed,))

    @service.accepts(ProductListed, **options)
    async def list_product(sent: Sent[ProductListed]):
        """Products are listed."""
        yield sent.draft

    return service


def test_what_is_accepted_is_published():
    """A service that accepts an event is its writer: it says so in `publishes`."""
    service = Service("shop")

    with pytest.raises(DeclarationError, match="ProductListed must stand in its publishes"):

        @service.accepts(ProductListed)
        async def list_product(sent: Sent[ProductListed]):
            yield sent.draft


async def test_one_service_accepts_an_event(mesh):
    """A second one is an error, for the check and for the host."""
    both = [accepting("one"), accepting("other")]

    report = check(Topology.of(["us"]), both)
    assert "product_listed is accepted by 2 services: let one accept it, and the others join" in report.errors
    with pytest.raises(DeclarationError, match="one and other both accept product_listed"):
        async with hosting(both, mesh):
            pass


async def test_a_handler_is_given_the_resources_of_its_service(mesh):
    """They are opened for it where it is hosted, and no others are."""
    service, opened = Service("shop", publishes=(ProductListed,)), []

    @service.resource
    async def open_prices() -> AsyncIterator[dict]:
        opened.append("prices")
        yield {"sku-1": 7}

    @service.resource
    async def open_unused() -> AsyncIterator[set]:
        opened.append("unused")
        yield set()

    @service.accepts(ProductListed)
    async def list_product(sent: Sent[ProductListed], prices: dict, mesh: Mesh):
        assert (prices, mesh.region) == ({"sku-1": 7}, "us")
        yield sent.draft

    async with hosting([service], mesh) as hosted:
        sent = Sent(event=ProductListed(product_id="sku-1"), id="e1", time=NOW, received=NOW, by=SERVER)
        assert await hosted["product_listed"].owner.decide(sent) == [sent.draft]
    assert opened == ["prices"]


async def test_carts_join_in_the_commit_of_an_order(mesh):
    """The order's service and the carts' each add what is theirs."""
    async with hosting(discover(), mesh) as hosted:
        owner, joined = hosted["order_placed"].owner, hosted["order_placed"].joined
        sent = Sent(event=ORDER, id="e1", time=NOW, received=NOW, by=SERVER)
        (converted, cancelled) = [change for handler in joined for change in await handler.decide(sent)]

    assert (owner.acceptance.service, [one.acceptance.service for one in joined]) == ("orders", ["carts"])
    assert converted.event == CartConverted(cart_id="c1", order_id="o1", visitor_id="v1")
    assert (cancelled.kind, cancelled.key) == (CartIdle, "c1")


def test_the_host_may_publish_what_it_hosts_and_nothing_else():
    """Its user's list follows from the declarations of all services."""
    services = discover()
    gateway = next(service for service in services if service.hosts)

    allowed = service_permissions(gateway, "us", services).publish

    assert {"ev.us.cart.updated.*", "ev.us.cart.converted.*", "timer.us.cart.idle.*"} <= set(allowed)
    assert not {"ev.us.cart.abandoned.*", "ev.us.cart.recovered.*", "ev.us.offer.sent.*"} & set(allowed)


def test_a_service_that_only_accepts_needs_no_process():
    """It is hosted: a deployment runs nothing of its own for it."""
    assert "shop" not in deployed([accepting()])


def test_events_of_one_request_are_ordered_by_what_they_are_about():
    """A cart's updates and its order are one queue; products each have theirs; interactions have none."""
    accepted = {one.type: one for service in discover() for one in service.acceptances if not one.joins}

    assert accepted["order_placed"].order_of(ORDER) == ("cart_id", "c1")
    assert accepted["cart_updated"].order_of(CartUpdated(cart_id="c1", visitor_id="v1", lines=())) == ("cart_id", "c1")
    assert accepted["product_listed"].order_of(ProductListed(product_id="sku-1")) == ("product_id", "sku-1")
    assert accepted["product_viewed"].ordered_by == ()


def test_nobody_misses_a_service_that_needs_no_process():
    """No alarm waits for it to run."""
    named = {rule["labels"].get("service") for group in alerts(discover())["groups"] for rule in group["rules"]}

    assert "carts" in named
    assert not {"customers", "shipping", "catalogue", "interactions"} & named
