"""Scoring on real servers, with no more rights than it declares."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mesh import Money
from mesh.events.cart import CartAbandoned, CartLine, CartScored, CartUpdated
from mesh.events.interaction import CheckoutStarted, ProductSearched, ProductViewed
from mesh.events.model import ModelPromoted
from mesh.events.order import OrderPlaced
from mesh.events.user import UserScored
from mesh.publish import Draft
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.service import Service
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from ml.features import names
from ml.lifecycle import retraining
from ml.lifecycle.admission import serving
from ml.lifecycle.registry import Registry
from ml.lifecycle.version import Metrics, Version
from ml.models.artifact import pack
from ml.models.propensity import PropensityClassifier
from ml.scoring import service as scoring
from ml.scoring.shopper_memory import SHOPPERS
from ml.training.dataset import from_mesh, points

ONE = Topology.parse("replicas = 1\n[regions.us]\nnodes = 1\n")
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
shop = Service(
    "shop",
    publishes=(ProductViewed, ProductSearched, CheckoutStarted, CartUpdated, OrderPlaced, CartAbandoned),
)
WHO = {"visitor_id": "v1", "session_id": "s1"}
LINE = CartLine(product_id="p1", quantity=1, price=Money(amount=1999, currency="EUR"), name="Tent")


def a_version():
    metrics = Metrics(rows=1, base_rate=0.5, auc=None, pr_auc=None, brier=0.1, ece=0.1)
    return Version(
        name="propensity",
        version="v-1",
        trained_at=NOW,
        window=(NOW, NOW),
        horizon_seconds=60.0,
        rows=1,
        data_hash="0",
        features=names(),
        metrics=metrics,
        carts=None,
        base_rates=(0.1, 0.2),
        sklearn="1",
    )


def a_model():
    rng = np.random.default_rng(1)
    rows = rng.uniform(0, 10, size=(600, len(names())))
    labels = (rows[:, names().index("views")] > 3).astype(float)
    return pack(PropensityClassifier(max_iter=10).fit(rows, labels).served(names()).plain())


@pytest.mark.timeout(300)  # a cold import of scikit-learn in a child, on a busy machine
async def test_scoring_works_with_the_rights_it_declares(eventually):
    """On real servers views and carts are scored, carts are kept, and a promoted model serves without a restart."""
    services = (shop, scoring.service, retraining.service)
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(LocalServers(ONE, services=services))

        async def as_user(name):
            mesh = await connect(servers.access, "us", name)
            stack.push_async_callback(mesh.broker.drain)
            return mesh

        publisher, models, reader = [await as_user(name) for name in ("shop", "training", "operator")]
        await stack.enter_async_context(running(scoring.service, await as_user("scoring")))

        viewed = ProductViewed(product_id="p1", price=LINE.price, **WHO)
        await publisher.publish(Draft(event=viewed, time=NOW))
        await publisher.publish(
            Draft(event=CartUpdated(cart_id="c1", lines=(LINE,), **WHO), time=NOW + timedelta(minutes=1))
        )
        first = await eventually(lambda: reader.last(UserScored, "v1"), within=60)
        kept = await eventually(lambda: reader.state(SHOPPERS).get("v1"), within=60)

        await Registry(models).add(a_version(), a_model())
        await Registry(models).promote("propensity", "v-1", "it is the first", at=NOW)

        async def scored_by_the_model():
            await publisher.publish(Draft(event=viewed, time=NOW))
            scored = await reader.last(UserScored, "v1")
            return scored if scored.event.model_version == "v-1" else None

        await eventually(scored_by_the_model, within=200)
        due = NOW + timedelta(minutes=31)
        left = CartAbandoned(cart_id="c1", lines=(LINE,), total=LINE.price, left_at=NOW, due=due, **WHO)
        await publisher.publish(Draft(event=left, id="left"))
        scored = await eventually(lambda: reader.last(CartScored, "c1"), within=60)

        assert first.event.model_version == "base-rate"
        assert [step.kind for step in kept.steps] == ["cart"]
        assert (scored.event.model_version, scored.event.abandonment_id) == ("v-1", "left")
        assert (await serving(models, "propensity")).version == a_version()
        assert (await reader.last(ModelPromoted, "propensity")).event.version == "v-1"
        assert set(points(await from_mesh(reader), horizon=timedelta(0))["carted"]) == {False, True}
