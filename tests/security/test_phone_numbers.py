"""Telephone numbers through the real gateway: a server's are kept as E.164, a page's are not kept at all."""

from datetime import UTC, datetime

import pytest

from mesh import Mesh
from mesh.accept import Sent
from mesh.events.customer import CustomerIdentified
from mesh.events.profile import ProfileLinked
from mesh.profiles import phone_digest
from notifications.shopper_profile import shopper_of
from services.identity import identify_customer

PAGE, SERVER = "demo", "only-my-servers-know"
E164 = "+4915112345678"


@pytest.fixture
async def send(regions, gateway_client, monkeypatch):
    """Send an identification with a key; what was answered, and what is stored of the visitor."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", SERVER)
    mesh = Mesh(regions.broker("us"), "gateway")
    async with gateway_client(mesh) as client:

        async def sent(key, phone, email="ada@example.com"):
            event = {"id": "e1", "type": "customer_identified", "time": datetime.now(UTC).isoformat()}
            event |= {"visitor_id": "ada", "email": email, "phone": phone}
            event = {name: value for name, value in event.items() if value is not None}
            headers = {"authorization": f"Bearer {key}"}
            response = await client.post("/v1/events", json={"events": [event]}, headers=headers)
            last = await mesh.last(CustomerIdentified, "ada")
            answer = response.json() | {"status": response.status_code}
            return answer, last.event if last else None, mesh

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


async def test_a_number_alone_is_enough_from_the_shops_server(send):
    """Whoever gave no e-mail address is known by the number, and by nothing else."""
    answer, stored, mesh = await send(SERVER, E164, email=None)
    profile, person = await shopper_of("ada", mesh)

    assert (answer["status"], answer["accepted"], answer.get("ignored", [])) == (202, 1, [])
    assert (stored.email, stored.phone, profile.email, profile.phone) == (None, E164, None, E164)
    assert person.names == (phone_digest(E164),)


async def test_a_page_that_sends_a_number_alone_is_refused(send):
    """It would be kept without the number, so nobody would be known by it; the answer says what counts."""
    answer, stored, mesh = await send(PAGE, E164, email=None)

    assert (answer["status"], stored) == (422, None)
    assert [(one["path"], "server key" in one["reason"]) for one in answer["rejected"]] == [("$.phone", True)]
    assert await mesh.last(ProfileLinked, "ada") is None


@pytest.mark.parametrize(
    ("phone", "email", "path", "reason"),
    [
        (None, None, "$.email", "missing required field `email` or `phone`"),
        ("", "", "$.email", "missing required field `email` or `phone`"),
        ("call me", None, "$.phone", "not a telephone number"),
        (None, "nobody", "$.email", "not an e-mail address"),
        ("call me", "nobody", "$.phone", "not a telephone number"),
        (5, {}, "$.email", "Expected `str"),
        (E164, "ada@storebotmail.joonix.net", "$.email", "the address of a bot"),
    ],
)
async def test_without_an_address_or_a_number_that_there_is_nobody_is_identified(send, phone, email, path, reason):
    """A clear answer each time, also where both are wrong; a bot's address is no typing error."""
    answer, stored, _ = await send(SERVER, phone, email=email)

    assert (answer["status"], stored) == (422, None)
    ((found, why),) = [(one["path"], one["reason"]) for one in answer["rejected"]]
    assert found == path
    assert reason in why


async def test_a_wrong_address_beside_a_number_is_left_out_and_said(send):
    """What is right counts, as with every other field."""
    answer, stored, _ = await send(SERVER, E164, email="nobody")

    assert (answer["accepted"], stored.email, stored.phone) == (1, None, E164)
    assert [one["path"] for one in answer["ignored"]] == ["$.email"]


async def test_a_page_cannot_have_its_own_address_written_to_for_a_known_number(send):
    """An address that contradicts what the shop's server said stops messages until the server has spoken again."""
    _, _, mesh = await send(SERVER, E164, email=None)
    await mesh.publish(*await linked_by_page(mesh, "attacker@example.com"))
    profile, _ = await shopper_of("ada", mesh)
    linked = (await mesh.last(ProfileLinked, "ada")).event

    assert (profile.email, profile.phone) == (None, None)
    assert linked.names == (phone_digest(E164),)


async def linked_by_page(mesh, address):
    sent = Sent(
        event=CustomerIdentified(visitor_id="ada", email=address),
        id="e2",
        time=datetime.now(UTC),
        received=datetime.now(UTC),
        by="page",
    )
    return [change async for change in identify_customer(sent, mesh)]
