"""What a large cart, or a cart of many updates, costs others: little, as what is taken and what is read is bounded."""

from mesh import Mesh
from mesh.events.cart import CartUpdated
from tests.stories.gateway.conftest import KEY, LINE, cart, stored, timers


async def test_large_events_are_bounded(monkeypatch, gateway_client, mesh):
    """By event, so that no cart costs every later decision a megabyte; and by bytes a second."""
    monkeypatch.setenv("CARTMESH_ADDRESS_BYTES", "100000")
    padded = [LINE | {"url": "https://shop.example/" + "x" * 1500} for _ in range(200)]
    large, small = cart("e1", lines=padded), cart("e2", lines=padded[:60])

    async with gateway_client(mesh) as client:
        sent = [{"events": [one]} for one in (large, small, small)]
        answers = [await client.post("/v1/events", json=one, headers=KEY) for one in sent]

    assert [answer.status_code for answer in answers] == [422, 429, 429]
    (rejected,) = answers[0].json()["rejected"]
    assert (rejected["path"], rejected["reason"].startswith("at most 131072 bytes, not 3")) == ("$", True)
    assert await stored(mesh, CartUpdated) == []


async def test_an_emptied_cart_reads_only_its_newest_update(gateway_client, memory_broker, monkeypatch, regions):
    """However much was stored of a cart, emptying it costs one small read."""
    gateway = Mesh(memory_broker, "gateway", others=("eu",))
    many = [cart(f"e{number}") for number in range(80)]
    read, opened = memory_broker.read, []

    def counted(stream, patterns, **more):
        opened.append(patterns)
        return read(stream, patterns, **more)

    async with gateway_client(gateway) as client:
        await client.post("/v1/events", json={"events": many}, headers=KEY)
        monkeypatch.setattr(memory_broker, "read", counted)
        await client.post("/v1/events", json={"events": [cart("last", lines=[])]}, headers=KEY)

    assert (opened, timers(regions)) == ([], {})
    assert (await gateway.last(CartUpdated, "c1")).event.lines == ()
