"""What Twilio reports of text messages over real HTTP: STOP ends them, START allows them again, forgeries are nothing.

The signature is calculated here from Twilio's description, with other code than what checks it.
"""

import base64
import hashlib
import hmac
from xml.etree import ElementTree as ET

import httpx
import pytest

from mesh import Mesh
from mesh.events.address import AddressSuppressed
from mesh.events.customer import ConsentChanged, ConsentConfirmed, CustomerIdentified, CustomerUnsubscribed
from mesh.events.profile import ProfileRefused
from mesh.profiles import phone_digest, read_profile
from mesh.runtime.run import running
from mesh.runtime.serving import serving
from notifications.links import service as links
from notifications.mail_reports.webhook_app import app
from notifications.shopper_profile import shopper_of
from services.identity import service as identity
from tests.sms_receivers import NUMBER, SECRET

URL, PHONE = "https://reports.shop.example/mail-reports/twilio", "+4915112345678"
DIGEST = phone_digest(PHONE)


def signed(fields, *, url=URL, secret=SECRET):
    text = url + "".join(f"{name}{value}" for name, value in sorted(fields.items()))
    made = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
    return {"X-Twilio-Signature": base64.b64encode(made).decode()}


def answer(body, sid="SM1", **more):
    return {"MessageSid": sid, "From": PHONE, "To": NUMBER, "Body": body, **more}


def undelivered(code, sid="SM1", status="undelivered"):
    return {"MessageSid": sid, "From": NUMBER, "To": PHONE, "MessageStatus": status, "ErrorCode": code}


class Twilio:
    """Reports to the service."""

    def __init__(self, client, mesh):
        self._client, self.mesh = client, mesh

    async def post(self, fields, **headers):
        return await self._client.post("/mail-reports/twilio", data=fields, headers=headers or signed(fields))

    async def send(self, fields, **headers):
        return (await self.post(fields, **headers)).status_code

    async def said(self):
        return [(one.event.suppressed, one.event.reason) for one in await self.mesh.all_of(AddressSuppressed, DIGEST)]


@pytest.fixture
async def twilio(regions, monkeypatch):
    monkeypatch.setenv("CARTMESH_TWILIO_SECRET", SECRET)
    monkeypatch.setenv("CARTMESH_TWILIO_STATUS_URL", URL)
    mesh = Mesh(regions.broker("us"), "mail-reports", others=("eu",))
    async with (
        serving(app(mesh), "127.0.0.1", 0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        yield Twilio(client, mesh)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(answer(" stop. "), id="answered STOP"),
        pytest.param(answer("Bitte nicht mehr", OptOutType="STOP"), id="Twilio's own reading"),
        pytest.param(undelivered("21610"), id="refused because of an earlier STOP"),
    ],
)
async def test_stop_ends_messages_to_a_number(twilio, fields):
    """Whoever has the number, and whatever was allowed; once."""
    answers = [await twilio.send(fields), await twilio.send(fields)]

    assert answers == [200, 200]
    assert await twilio.said() == [(True, "stopped")]


async def test_start_allows_them_again_and_an_old_stop_does_not_come_back(twilio):
    """Twilio may repeat a report later: it is known by its message."""
    for fields in (answer("STOP"), answer("START", "SM2"), answer("STOP")):
        await twilio.send(fields)

    assert await twilio.said() == [(True, "stopped"), (False, "stopped")]


async def test_a_number_that_nobody_has_gets_nothing_any_more_and_start_does_not_lift_that(twilio):
    """What is undelivered for another reason changes nothing."""
    for sid, code in enumerate(["30003", "30005"]):
        await twilio.send(undelivered(code, f"SM{sid}"))
    await twilio.send(undelivered("30005", "SM3", status="delivered"))
    await twilio.send(answer("START", "SM4"))
    await twilio.send(answer("What is this?", "SM5"))

    assert await twilio.said() == [(True, "hard-bounce")]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X-Twilio-Signature": ""}, id="unsigned"),
        pytest.param(signed(answer("STOP"), secret="another secret"), id="another secret"),
        pytest.param(signed(answer("STOP"), url="https://elsewhere.example/"), id="another address"),
        pytest.param(signed(answer("START")), id="another body"),
        pytest.param({"X-Twilio-Signature": "not base64"}, id="nonsense"),
    ],
)
async def test_what_twilio_did_not_sign_changes_nothing(twilio, headers):
    """401, and nothing is stored."""
    assert await twilio.send(answer("STOP"), **headers) == 401
    assert await twilio.said() == []


async def test_twilio_is_answered_in_twiml(twilio):
    """Without a message: what is no TwiML is an error in its debugger."""
    given = await twilio.post(answer("STOP"))
    assert (given.status_code, given.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert ET.fromstring(given.content).tag == "Response"


async def test_without_a_secret_nothing_is_proven(twilio, monkeypatch, regions):
    """A secret of no length would be everybody's."""
    monkeypatch.setenv("CARTMESH_TWILIO_SECRET", "")
    mesh = Mesh(regions.broker("us"), "mail-reports")
    async with serving(app(mesh), "127.0.0.1", 0) as port, httpx.AsyncClient() as client:
        fields = answer("STOP")
        headers = signed(fields, secret="")
        given = await client.post(f"http://127.0.0.1:{port}/mail-reports/twilio", data=fields, headers=headers)

    assert given.status_code == 401


async def test_an_answer_is_the_consent_of_whoever_has_the_number(twilio, regions, eventually):
    """On the device that gave the number; each of these events is the proof of what was said, and how."""
    mesh = twilio.mesh
    services = [running(one, Mesh(regions.broker("us"), one.name)) for one in (identity, links)]
    async with services[0], services[1]:
        known = CustomerIdentified(visitor_id="ada", email="ada@example.test", phone=PHONE, by="server")
        await mesh.publish(known, ConsentChanged(visitor_id="ada", channel="sms", granted=True, by="server"))
        await eventually(lambda: _known(mesh))

        await twilio.send(answer("STOP"))
        (stopped,) = await eventually(lambda: mesh.all_of(CustomerUnsubscribed, "ada"))
        await eventually(lambda: _refusals(mesh, 1))
        refused, _ = await shopper_of("ada", mesh)
        await twilio.send(answer("START", "SM2"))
        (started,) = await eventually(lambda: mesh.all_of(ConsentConfirmed, "ada"))
        await eventually(lambda: _refusals(mesh, 2))
        allowed, _ = await shopper_of("ada", mesh)

    assert (stopped.event.channel, stopped.event.where) == ("sms", "answer STOP to a text message")
    assert refused.unsubscribed == {"sms"}
    assert (started.event.where, allowed.unsubscribed, allowed.consent["sms"]) == (
        "answer START to a text message",
        frozenset(),
        True,
    )


async def _known(mesh):
    _, person = await shopper_of("ada", mesh)
    return DIGEST in person.names and "ada" in (await read_profile(mesh, names=(DIGEST,))).visitors


async def _refusals(mesh, count):
    found = [one for one in await mesh.all_of(ProfileRefused, "ada") if one.event.channel == "sms"]
    return len(found) >= count
