"""`cartmesh mesh probe`, and what `helm test` does with it."""

from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from litestar import Litestar, Request, Response, post

from mesh import Mesh
from mesh.errors import DeclarationError, Unavailable
from mesh.events.cart import CartUpdated
from mesh.operations.probe import probe
from mesh.runtime.run import running
from mesh.runtime.serving import serving


@asynccontextmanager
async def gateway(mesh, *, status=202, stores=True):
    """A gateway that stores a cart for each request with the key `right`."""

    @post("/carts")
    async def take_cart(request: Request) -> Response:
        asked = await request.json()
        if request.headers["authorization"] != "Bearer right":
            return Response({"detail": "who are you?"}, status_code=401)
        if stores:
            await mesh.publish(CartUpdated(cart_id=asked["cart"], visitor_id="v", lines=()))
        return Response({"accepted": 1}, status_code=status)

    async with serving(Litestar([take_cart]), "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}/carts"


async def ask(mesh, url, *, key="right", awaits="cart.updated.v1", within=60.0):
    return await probe(mesh, url, body='{"cart": "PROBE"}', key=key, awaits=awaits, within=timedelta(seconds=within))


async def test_a_probe_ends_with_its_outcome(mesh):
    """It says of which key, and how long it took."""
    async with gateway(mesh) as url:
        done = await ask(mesh, url)

    assert (await mesh.last(CartUpdated, done.key)).event.cart_id == done.key
    assert timedelta(0) < done.took < timedelta(seconds=60)


async def test_a_probe_says_what_is_broken(mesh):
    """The gateway is down, refuses, or accepts what is never stored; or nobody publishes such an event."""
    async with gateway(mesh) as url, gateway(mesh, stores=False) as silent:
        with pytest.raises(Unavailable, match=r"refused the event: 401 .*who are you"):
            await ask(mesh, url, key="wrong")
        with pytest.raises(Unavailable, match=r"stored the event, but no cart\.updated\.v1 of probe-"):
            await ask(mesh, silent, within=0.3)
        with pytest.raises(DeclarationError, match=r"no event is called 'cart\.flown'"):
            await ask(mesh, url, awaits="cart.flown")
    with pytest.raises(Unavailable, match="does not answer"):
        await ask(mesh, url)


async def test_what_helm_test_sends_is_scored(chart, regions, monkeypatch):
    """The chart's own words, sent through the real gateway to the real scoring service."""
    from ml.scoring.service import service as scoring
    from services.gateway import service as gateway

    words = chart()["Pod", "test"]["spec"]["containers"][0]["args"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    monkeypatch.setenv("CARTMESH_WRITE_KEYS", "shop,probe")
    entry, brain = (Mesh(regions.broker("eu"), name, others=("us",)) for name in ("gateway", "scoring"))

    async with running(gateway, entry, http=("127.0.0.1", 0)) as serves, running(scoring, brain):
        url = words[2].replace("http://cartmesh-gateway", f"http://127.0.0.1:{serves.port}")
        done = await probe(
            entry,
            url,
            body=options["--body"],
            key="probe",
            awaits=options["--awaits"],
            within=timedelta(seconds=60),
        )

    assert done.took < timedelta(seconds=60)
