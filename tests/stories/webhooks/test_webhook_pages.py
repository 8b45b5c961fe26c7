"""The webhooks' pages and API: what publishers do, what viewers see, and what is refused with which words."""

import asyncio
import json
import re
from html import unescape

import httpx
import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from playwright._impl._driver import compute_driver_executable
from standardwebhooks import Webhook

from mesh.events.console import ConsoleChanged
from mesh.events.webhook import WebhookPublished

URL = "https://partner.example/hook?token=t0ps3cret"


@pytest.fixture
async def place(open_place):
    """A region with the pages."""
    return await open_place(pages=True)


@pytest.fixture
async def people(place, staff):
    """A publisher and a viewer before the pages."""
    return await staff(place.mesh, place.run.port, "publisher"), await staff(place.mesh, place.run.port, "viewer")


@pytest.fixture
async def script(place, signed_in):
    """A script with a publisher's token."""
    headers = await signed_in(place.mesh, "publisher")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{place.run.port}", headers=headers) as client:
        yield client


async def test_a_publisher_creates_a_webhook_and_sees_its_secret_once(place, people):
    """The form, the secret, a test that arrives, the log; then another key, with which both sign."""
    publisher, viewer = people
    empty = unescape((await viewer.get("/webhooks")).text)

    fields = {"name": "Warehouse", "url": place.endpoint.url("/hook?token=t0ps3cret"), "types": "order.confirmed.v1"}
    made = await publisher.send("/webhooks/new", page="/webhooks/new", **fields, ordered="no", signature="hmac")
    secret = re.search(r'id="secret">(whsec_[^<]+)<', made.text)[1]
    (one,) = place.managing.webhooks
    here = f"/webhooks/{one.webhook.id}"
    tested = await publisher.send(f"{here}/test", page=here)
    (request,) = await place.arrived(1, "/hook?token=t0ps3cret")
    await place.noted("delivered")
    log = (await publisher.get(here)).text
    rotated = await publisher.send(f"{here}/rotate", page=here, grace_hours="24")
    second = re.search(r'id="secret">(whsec_[^<]+)<', rotated.text)[1]
    await publisher.send(f"{here}/test", page=here)
    *_, both = await place.arrived(2, "/hook?token=t0ps3cret")

    assert "No partner gets anything yet" in empty
    assert (made.status_code, made.headers["cache-control"]) == (200, "no-store")
    assert tested.status_code == 303
    assert Webhook(secret).verify(request.body, request.headers)["type"] == "webhook.test.v1"
    assert ("Delivered" in log, secret in log, "webhook.test.v1" in log) == (True, False, True)
    assert secret != second
    assert [bool(Webhook(known).verify(both.body, both.headers)) for known in (secret, second)] == [True, True]
    seen = (await viewer.get(here)).text
    assert ("127.0.0.1" in seen, "t0ps3cret" in seen, "Send a test" in seen) == (True, False, False)
    changes = [one.event.action async for one in place.mesh.read(ConsoleChanged)]
    assert changes == ["create-webhook", "test-webhook", "rotate-secret", "test-webhook"]


async def test_a_viewer_changes_nothing(place, people):
    """By no form, whatever it is sent."""
    _, viewer = people
    webhook, _ = await place.webhook()
    here = f"/webhooks/{webhook.id}"

    refused = [
        await viewer.send(f"{here}/{what}", page=here)
        for what in ("edit", "rotate", "delete", "disable", "enable", "test", "resend", "replay")
    ]
    refused.append(await viewer.send("/webhooks/new", page="/webhooks"))

    assert [one.status_code for one in refused] == [403] * 9


WRONG = [
    ({"url": "http://partner.example"}, None),
    ({"url": "ftp://partner.example/"}, "url: it must begin with https://"),
    ({"url": "https://user:pw@partner.example/"}, "url: it may hold no user and password"),
    ({"url": "https://partner.example/#x"}, "url: it may hold no fragment"),
    ({"url": "https://partner.example:99999/"}, "url: Port out of range"),
    ({"url": "https:///x"}, "url: its host is no name"),
    ({"url": "https://pärtner.example/"}, "ASCII characters"),
    ({"name": ""}, "name: a name of 1 to 80 characters"),
    ({"types": "customer.identified.v1"}, "does not leave the mesh"),
    ({"throttle": "0"}, "throttle: deliveries a second"),
    ({"throttle": "x"}, "throttle: a number"),
    ({"filters": "{"}, "filters: no JSON"),
    ({"filters": '[{"sql": "x"}]'}, "unknown dialect 'sql'"),
    ({"filters": '[{"exact": {"type": ""}}]'}, "a text of 1 to 256"),
    ({"signature": "none"}, "Invalid enum value"),
]


async def test_a_form_that_is_wrong_says_what_is_wrong_and_keeps_what_was_written(place, people):
    """Nothing is stored."""
    publisher, _ = people

    for fields, said in WRONG:
        sent = {"name": "Kept", "url": URL, "filters": "", "signature": "hmac", **fields}
        answer = await publisher.send("/webhooks/new", page="/webhooks/new", **sent)
        if said is None:
            assert answer.status_code == 200
            continue
        text = unescape(answer.text)
        assert (answer.status_code, said in text) == (422, True), (fields, text[:3000])
        assert fields.get("name", "Kept") in text
    assert len([one async for one in place.mesh.read(WebhookPublished)]) == 1


async def test_a_script_does_all_of_it_with_a_token(place, script):
    """Create, read, change, disable, enable, delete; whoever read an older revision is told."""
    form = {"name": "ERP", "url": URL, "types": ["order.created.v1"], "filters": [{"prefix": {"subject": "DE-"}}]}
    made = await script.post("/webhooks/v1", json=form)
    id_ = made.json()["id"]
    at = f"/webhooks/v1/{id_}"
    changed = await script.put(at, json={"revision": 1, "webhook": form | {"throttle": 5}})
    late = await script.put(at, json={"revision": 1, "webhook": form})
    wrong = await script.post("/webhooks/v1", json=form | {"filters": [{"exact": {}}]})
    unknown = await script.post("/webhooks/v1", json=form | {"secret": "x"})
    off = await script.post(f"{at}/disable")
    refused = await script.post(f"{at}/test")
    on = await script.post(f"{at}/enable")
    listed = await script.get("/webhooks/v1")
    attempts = await script.get(f"{at}/attempts")
    gone = await script.delete(at)
    after = await script.get(at)

    assert (made.status_code, made.json()["secret"][:6], made.json()["webhook"]["url"]) == (201, "whsec_", URL)
    assert (changed.json()["revision"], changed.json()["webhook"]["throttle"]) == (2, 5)
    assert "secret" not in changed.json()
    assert (late.status_code, "somebody changed this webhook" in late.json()["detail"]) == (409, True)
    assert (wrong.status_code, wrong.json()["detail"].startswith("filters[0].exact:")) == (422, True)
    assert unknown.status_code == 400
    assert (off.json()["active"], on.json()["active"]) == (False, True)
    assert (refused.status_code, "is disabled" in refused.json()["detail"]) == (422, True)
    assert [one["id"] for one in listed.json()] == [id_]
    assert (attempts.json(), gone.status_code, after.status_code) == ([], 204, 404)


async def test_the_examples_on_the_page_verify_what_is_sent(place, people):
    """Those for Ed25519, in Python and in Node: what was sent is taken, with another body it is not."""
    publisher, _ = people
    webhook, public = await place.webhook(signature="ed25519")
    await place.managing.send_test(webhook.id)
    (request,) = await place.arrived(1)
    page = (await publisher.get(f"/webhooks/{webhook.id}")).text
    python, node = (
        unescape(re.search(rf'<code id="verify-{name}">(.*?)</code>', page, re.DOTALL)[1])
        for name in ("python", "node")
    )
    binary, _ = compute_driver_executable()

    async def in_node(body):
        values = {"publicKey": public, "headers": request.headers, "body": body}
        given = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
        arguments = ("--input-type=module", "--eval", f"{node.replace(chr(10), chr(10) + given, 1)}")
        ran = await asyncio.create_subprocess_exec(binary, *arguments, stderr=asyncio.subprocess.PIPE)
        _, said = await ran.communicate()
        return ran.returncode, said.decode()

    known = {"public_key": public, "headers": request.headers}
    exec(python, {**known, "body": request.body})
    with pytest.raises(InvalidSignature):
        exec(python, {**known, "body": request.body + b" "})
    assert public in page
    assert await in_node(request.body.decode()) == (0, "")
    code, said = await in_node(request.body.decode() + " ")
    assert (code, "not ours" in said) == (1, True)


async def test_no_url_and_no_secret_is_in_a_stream_or_bucket(place, script):
    """Whoever reads the region's streams learns that there is a webhook, and nothing of it."""
    made = (await script.post("/webhooks/v1", json={"name": "Partner & Co", "url": URL})).json()

    stored = [one async for one in place.mesh.broker.read(place.mesh.commerce, ["ev.us.webhook.>"])]
    bucket = [entry.value async for entry in place.mesh.broker.kv_entries(_bucket())]

    text = b"".join(one.body for one in stored) + b"".join(bucket)
    assert (len(stored), len(bucket)) == (1, 1)
    assert [
        part for part in ("t0ps3cret", "partner.example", "Partner", made["secret"][6:]) if part.encode() in text
    ] == []
    assert msgspec.json.decode(stored[0].body)["data"]["webhook_id"] == made["id"]


def _bucket():
    from services.webhooks.webhook import WEBHOOKS

    return WEBHOOKS
