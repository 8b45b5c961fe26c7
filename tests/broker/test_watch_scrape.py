"""A real Prometheus scrapes a service, knows its figures, and takes the generated rules."""

import asyncio
import shutil
from datetime import timedelta

import httpx
import pytest
from litestar import Litestar, get

import mesh.events as language
from mesh.errors import Bury
from mesh.events.cart import CartClosed, CartIdle, CartUpdated
from mesh.mesh import Mesh
from mesh.publish import Cause
from mesh.runtime.discovery import discover
from mesh.runtime.ports import free_ports
from mesh.runtime.run import running
from mesh.runtime.serving import serving
from mesh.service import Service
from mesh.topology.derive.alerts import alerts
from mesh.topology.derive.helm import yaml
from mesh.web.application import shared_options
from mesh.web.health import health_app

PROMETHEUS = shutil.which("prometheus")
pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed (Debian's package prometheus)")

CONFIG = """\
global:
  scrape_interval: 1s
  scrape_timeout: 1s
rule_files: [{rules}]
scrape_configs:
  - job_name: cartmesh
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


@get("/page")
async def get_page() -> str:
    return "a page"


@pytest.fixture
async def health(mesh, eventually):
    """A service that closes carts and gives up on one, and serves a page; yields the port of its health and metrics."""
    service = Service("scraped", publishes=(CartClosed,))

    @service.on(CartUpdated)
    async def close_cart(updated: CartUpdated):
        yield CartClosed(cart_id=updated.cart_id, visitor_id="v1", order_id="o1", region="us")

    @service.on(CartIdle)
    async def give_up(_: CartIdle) -> None:
        raise Bury("no such cart")

    scraped = Mesh(mesh.broker, "scraped")
    async with (
        running(service, scraped),
        serving(Litestar([get_page], **shared_options(scraped)), "127.0.0.1", 0) as pages,
        serving(health_app(scraped), "127.0.0.1", 0) as port,
        httpx.AsyncClient(timeout=60) as client,
    ):
        assert (await client.get(f"http://127.0.0.1:{pages}/page")).text == "a page"
        cart = CartUpdated(cart_id="c1", visitor_id="v1", lines=())
        idle = CartIdle(cart_id="c1", update_id="e1")
        await scraped.commit([cart, idle], Cause(id="e1", source="scraped.tests"))
        await eventually(lambda: mesh.last(CartClosed, "c1"))
        yield port


@pytest.fixture
async def prometheus(health, tmp_path):
    """Prometheus, scraping the port of health and metrics; yields its address."""
    assert language
    (port,) = free_ports(1)
    (tmp_path / "alerts.yaml").write_text(yaml(alerts(discover())))
    (tmp_path / "prometheus.yaml").write_text(CONFIG.format(rules=tmp_path / "alerts.yaml", port=health))
    with (tmp_path / "prometheus.log").open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            str(PROMETHEUS),
            f"--config.file={tmp_path / 'prometheus.yaml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=output,
            stderr=output,
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            child.terminate()
            await asyncio.wait_for(child.wait(), 20)


async def test_figures_arrive(prometheus, eventually):
    """Rates, durations, delays and dead letters of a service are there to be asked for, and no rule is broken."""
    async with httpx.AsyncClient(base_url=prometheus, timeout=60) as client:

        async def found(query):
            try:
                answer = (await client.get("/api/v1/query", params={"query": query})).json()
            except (httpx.HTTPError, ValueError):  # not there yet, or still reading its own log
                return None
            result = answer.get("data", {}).get("result", [])
            return float(result[0]["value"][1]) if result else None

        async def is_one(query):
            return await found(query) == 1

        for query in (
            'cartmesh_service_running{service="scraped"}',
            'cartmesh_events_total{service="scraped",type="cart.closed.v1"}',
            'cartmesh_handled_messages_total{durable="scraped-close-cart",outcome="done"}',
            'cartmesh_handled_messages_total{durable="scraped-give-up",outcome="dead_letter"}',
            'cartmesh_handling_seconds_count{durable="scraped-close-cart"}',
            'cartmesh_delivery_delay_seconds_count{durable="scraped-close-cart"}',
        ):
            await eventually(lambda query=query: is_one(query), within=120)
        requests = 'cartmesh_http_requests_total{service="scraped",route="/page",status="200"}'
        await eventually(lambda: found(requests), within=120)

        groups = (await client.get("/api/v1/rules")).json()["data"]["groups"]
        derived = {group["name"] for group in alerts(discover())["groups"]}
        assert {group["name"] for group in groups} == derived
        assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}


@pytest.mark.drill
async def test_a_scrape_is_cheap(health):
    """Metrics answer in milliseconds: a scrape every second costs nothing to speak of."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{health}", timeout=60) as client:
        await client.get("/metrics")
        loop = asyncio.get_running_loop()
        took = []
        for _ in range(20):
            began = loop.time()
            assert (await client.get("/metrics")).status_code == 200
            took.append(timedelta(seconds=loop.time() - began))

    print(f"a scrape: median {sorted(took)[10].total_seconds() * 1000:.0f} ms")
    assert sorted(took)[10] < timedelta(milliseconds=100)
