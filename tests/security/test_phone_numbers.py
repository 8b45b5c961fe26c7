"""Telephone numbers through the real gateway: a server's are kept as E.164, a page's are not kept at all."""

from datetime import UTC, datetime

import pytest

from mesh import Mesh
from mesh.events.customer import CustomerIdentified
from mesh.profiles import phone_digest
from notifications.shopper_profile import shopper_of

PAGE, SERVER = "demo", "only-my-servers-know"
E164 = "+4915112345678"


@pytest.fixture
async def send(regions, gateway_client, monkeypatch):
    """Send an identification with a key; what was answered, and what is stored of the visitor."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", SERVER)
    mesh = Mesh(regions.broker("us"), "gateway")
    async with gateway_client(mesh) as client:

        async def sent(key, phone):
            event = {"id": "e1", "type": "customer_identified", "time": datetime.now(UTC).isoformat()}
            event |= {"visitor_id": "ada", "email": "ada@example.com", "phone": phone}
            headers = {"authorization": f"Bearer {key}"}
            answer = (await client.post("/v1/events", json={"events": [event]}, headers=headers)).json()
            stored = (await mesh.last(CustomerIdentified, "ada")).event
            return answer, stored, mesh

        yield sent


@pytest.mark.parametrize("given", [E164, "+49 1511 2345678", "+49 (0) 151 1234 5678"])
async def test_a_servers_number_is_kept_as_networks_write_it(send, given):
    """However it was typed; it is a name of the shopper."""
    answer, stored, mesh = await send(SERVER, given)
    profile, person = await shopper_of("ada", mesh)

    assert (answer["accepted"], answer.get("ignored", []), stored.phone, profile.phone) == (1, [], E164, E164)
    assert phone_digest(E164) in person.names


async def test_a_pages_number_is_left_out(send):
    """Anybody can send what a page can, and messages cost money."""
    answer, stored, mesh = await send(PAGE, E164)
    profile, person = await shopper_of("ada", mesh)

    assert (answer["accepted"], stored.email, stored.phone, profile.phone) == (1, "ada@example.com", None, None)
    assert phone_digest(E164) not in person.names


@pytest.mark.parametrize("given", ["0151 12345678", "+4", "+999123456789", "call me"])
async def test_what_is_no_number_is_left_out_and_said(send, given):
    """The rest of what was sent counts."""
    answer, stored, _ = await send(SERVER, given)

    assert (answer["accepted"], stored.phone) == (1, None)
    assert [one["path"] for one in answer["ignored"]] == ["$.phone"]
