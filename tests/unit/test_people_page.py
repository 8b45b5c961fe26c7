"""The page People: found by an address or an id, shown by role, and erased everywhere."""

import pytest

from mesh import Mesh
from mesh.events.cart import CartUpdated
from mesh.events.console import ConsoleChanged
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.profile import ProfileErasureRequested
from mesh.profiles import names_of, phone_digest, read_profile
from mesh.runtime.run import running
from services import identity
from services.identity.erasure import PersonKey, request_erasure

ADDRESS, NUMBER = "Ada@Shop.test", "+4915112345678"


@pytest.fixture
async def port(regions, mesh, eventually):
    """The identity service of `us`, which knows Ada by her two devices."""
    broker = regions.broker("us")
    async with running(identity.service, Mesh(broker, "identity", others=("eu",)), http=("127.0.0.1", 0)) as run:
        for visitor in ("phone", "laptop"):
            await mesh.publish(
                CustomerIdentified(visitor_id=visitor, email=ADDRESS, name="Ada L.", customer_id="c7", by="server")
            )
        await mesh.publish(CartUpdated(cart_id="cart-1", visitor_id="phone", lines=()))
        await mesh.publish(ConsentChanged(visitor_id="phone", channel="email", granted=True, by="server"))
        await mesh.publish(CustomerUnsubscribed(visitor_id="laptop", channel="email", offer_id="o1"))
        await eventually(lambda: _known(mesh))
        yield run.port
    await broker.drain()


async def _known(mesh):
    profile = await read_profile(mesh, "phone")
    return len(profile.visitors) == 2 and profile.carts and profile.refused


async def test_an_address_leads_to_its_person_and_stays_nowhere(port, mesh, staff):
    """By any of the names, and in any case; the audit has a digest, the person's page no address."""
    marketer = await staff(mesh, port, "marketer")

    found = [await marketer.send("/people", page="/people", asked=asked) for asked in ("ada@shop.TEST", "c7", "laptop")]
    nobody = await marketer.send("/people", page="/people", asked="bob@shop.test")
    page = await marketer.get(found[0].headers["location"])

    assert [one.status_code for one in found] == [303] * 3
    assert {one.headers["location"] for one in found} <= {"/people/phone", "/people/laptop"}
    assert nobody.status_code == 404
    assert "Nobody in us is known by that" in nobody.text
    assert "/decisions/cart-1" in page.text
    assert "unsubscribed from e-mail for marketing" in page.text
    assert "allowed e-mail for marketing" in page.text
    assert "the link in a message" in page.text
    assert not any(secret in page.text for secret in (ADDRESS, ADDRESS.lower(), "Ada L."))
    changed = [one.event async for one in mesh.read(ConsoleChanged)]
    assert [(one.action, one.subject) for one in changed[:1]] == [("find-person", names_of(None, ADDRESS)[0])]
    assert not any(ADDRESS.lower() in str(one).lower() for one in changed)


async def test_what_people_said_is_shown_to_administrators_alone(port, mesh, staff):
    """A marketer may not, and a viewer finds nobody at all; that it was shown is in the audit."""
    viewer, marketer, admin = [await staff(mesh, port, role) for role in ("viewer", "marketer", "admin")]

    refused = await marketer.send("/people/phone/details", page="/people/phone")
    shown = await admin.send("/people/phone/details", page="/people/phone")

    assert (await viewer.get("/people")).status_code == 403
    assert (refused.status_code, ADDRESS in refused.text) == (403, False)
    assert ADDRESS in shown.text
    assert "Ada L." in shown.text
    assert [one.event.action async for one in mesh.read(ConsoleChanged)] == ["read-details"]


async def test_what_is_held_of_somebody_is_a_file_for_administrators(port, mesh, staff):
    """What they said on each device, their carts, and that it was made on record; not for marketers."""
    admin, marketer = await staff(mesh, port, "admin"), await staff(mesh, port, "marketer")

    refused = await marketer.send("/people/phone/export", page="/people/phone")
    answer = await admin.send("/people/phone/export", page="/people/phone")
    held = answer.json()

    assert refused.status_code == 403
    assert answer.headers["content-disposition"] == 'attachment; filename="person-us.json"'
    assert held["visitors"] == ["laptop", "phone"]
    assert {one["data"].get("name") for one in held["said"]["laptop"]} == {"Ada L.", None}
    assert [one["type"] for one in held["carts"]["cart-1"]] == ["cart.updated.v1"]
    assert [one.event.action async for one in mesh.read(ConsoleChanged)] == ["export-what-is-held"]


async def test_a_person_is_erased_by_an_administrator_who_wrote_so(port, mesh, staff, eventually):
    """Every region is asked, and the page says which have confirmed it."""
    marketer, admin = await staff(mesh, port, "marketer"), await staff(mesh, port, "admin")

    refused = await marketer.send("/people/phone/erase", page="/people/phone", confirm="erase")
    slip = await admin.send("/people/phone/erase", page="/people/phone", confirm="yes")
    assert [one async for one in mesh.read(ProfileErasureRequested)] == []
    erased = await admin.send("/people/phone/erase", page="/people/phone", confirm="erase")
    page = await eventually(lambda: _page(admin, erased.headers["location"], "us: erased, 2 keys destroyed"))

    assert (refused.status_code, slip.status_code, erased.status_code) == (403, 422, 303)
    assert "eu: not confirmed yet" in page
    assert "0 names" in page
    assert ADDRESS not in (await admin.send("/people/phone/details", page="/people/phone")).text


async def _page(person, address, wanted):
    page = (await person.get(address)).text
    return page if wanted in page else None


async def test_whoever_was_never_here_is_nobody(port, mesh, staff):
    """Also an id that can be none."""
    marketer = await staff(mesh, port, "marketer")

    assert [(await marketer.get(f"/people/{name}")).status_code for name in ("stranger", "a%20b", "*")] == [404] * 3


async def test_a_number_leads_to_who_has_no_address(port, mesh, staff, eventually):
    """However it is typed; the audit has its digest, the page only that there is one; exported and erased by it."""
    marketer, admin = await staff(mesh, port, "marketer"), await staff(mesh, port, "admin")
    await mesh.publish(CustomerIdentified(visitor_id="kiosk", phone=NUMBER, name="Bob", by="server"))
    await eventually(lambda: _linked(mesh, "kiosk"))

    found = [await marketer.send("/people", page="/people", asked=one) for one in (NUMBER, "+49 1511 2345678")]
    nobody = await marketer.send("/people", page="/people", asked="+4915112345679")
    page = await marketer.get("/people/kiosk")
    details = await admin.send("/people/kiosk/details", page="/people/kiosk")
    held = (await admin.send("/people/kiosk/export", page="/people/kiosk")).json()

    assert [(one.status_code, one.headers["location"]) for one in found] == [(303, "/people/kiosk")] * 2
    assert nobody.status_code == 404
    assert "telephone number" in page.text
    assert (NUMBER in page.text, NUMBER in details.text, NUMBER in str(held)) == (False, True, True)
    changed = [one.event async for one in mesh.read(ConsoleChanged)]
    assert [(one.action, one.subject) for one in changed[:1]] == [("find-person", phone_digest(NUMBER))]
    assert not any(NUMBER in str(one) for one in changed)

    await request_erasure(PersonKey(phone=NUMBER), mesh)
    await eventually(lambda: _linked(mesh, "kiosk", wanted=False))
    assert NUMBER not in (await admin.send("/people/kiosk/details", page="/people/kiosk")).text


async def _linked(mesh, visitor, *, wanted=True):
    return bool((await read_profile(mesh, visitor)).names) is wanted
