"""Webhooks of mail providers over real HTTP: what is proven is stored once; what is forged, old or altered is nothing.

The signatures are calculated here from the providers' descriptions, with other code than what checks them.
"""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from time import time

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from mesh import Mesh
from mesh.events.address import AddressSuppressed
from mesh.events.mail import MailBounced, MailComplained
from mesh.profiles import address_digest
from mesh.runtime.serving import serving
from notifications.mail_reference import HEADER, MailReference
from notifications.mail_reports.providers.ses import is_sns
from notifications.mail_reports.providers.webhook import Unproven
from notifications.mail_reports.webhook_app import app, fetch_from_sns

ADA, MAIL = "Ada@example.com", "0123456789abcdef" * 2
DIGEST = address_digest(ADA)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-abc.pem"
MAILGUN_KEY, POSTMARK_PASSWORD = "key-of-mailgun", "correct horse battery"
SENDGRID, AMAZON = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)


def certificate(key=AMAZON, *, days=30):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(datetime.now(UTC) - timedelta(days=40))
    made = made.not_valid_after(datetime.now(UTC) + timedelta(days=days))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Amazon:
    """What can be fetched, and what was."""

    def __init__(self):
        self.there, self.fetched = {CERTIFICATE_URL: certificate()}, []

    async def fetch(self, url):
        self.fetched.append(url)
        if url not in self.there:
            raise Unproven("nothing is there")
        return self.there[url]


class Provider:
    """Sends webhooks to the service, and looks at what is stored."""

    def __init__(self, client, mesh, amazon):
        self._client, self._mesh, self.amazon = client, mesh, amazon

    async def send(self, name, body, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self._client.post(f"/mail-reports/{name}", content=content, headers=headers)

    async def stored(self):
        kinds = (MailBounced, MailComplained, AddressSuppressed)
        return [one.event for kind in kinds for one in await self._mesh.all_of(kind, DIGEST)]


@pytest.fixture
async def provider(regions, monkeypatch):
    public = SENDGRID.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    settings = {
        "SECRET": "of-the-links-in-mails",
        "SES_TOPICS": TOPIC,
        "SENDGRID_WEBHOOK_KEY": base64.b64encode(public).decode(),
        "POSTMARK_WEBHOOK_PASSWORD": POSTMARK_PASSWORD,
        "MAILGUN_WEBHOOK_KEY": MAILGUN_KEY,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"CARTMESH_{name}", value)
    amazon = Amazon()
    mesh = Mesh(regions.broker("us"), "mail-reports", others=("eu",))
    async with (
        serving(app(mesh, amazon.fetch), "127.0.0.1", 0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        yield Provider(client, mesh, amazon)


def sns(message, *, key=AMAZON, version="2", at=None, kind="Notification", **changes):
    """An SNS message, signed as Amazon describes it."""
    at = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    made = {"Type": kind, "MessageId": "m1", "TopicArn": TOPIC, "Message": json.dumps(message), "Timestamp": at}
    if kind != "Notification":
        made |= {"Token": "t", "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"}
    made |= {"SignatureVersion": version, "SigningCertURL": CERTIFICATE_URL, **changes.pop("signed", {})}
    fields = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if kind != "Notification":
        fields = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{made[name]}\n" for name in fields if name in made)
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    made["Signature"] = base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), algorithm)).decode()
    return {**made, **changes}


def ses(kind="Bounce", **more):
    recipients = {"Bounce": "bouncedRecipients", "Complaint": "complainedRecipients"}[kind]
    one = {"emailAddress": ADA, "status": "5.1.1", "diagnosticCode": f"smtp; 550 5.1.1 <{ADA}> unknown"}
    part = {"bounceType": "Permanent", "feedbackId": "f1", recipients: [one], "complaintFeedbackType": "abuse", **more}
    header = MailReference(kind="offer", id=MAIL, address=DIGEST).header("of-the-links-in-mails")[HEADER]
    mail = {"messageId": "amazons", "headers": [{"name": HEADER, "value": header}]}
    return {"notificationType": kind, kind.lower(): part, "mail": mail}


def sendgrid(events, *, key=SENDGRID, at=None):
    body, at = json.dumps(events).encode(), str(int(at or time()))
    signature = base64.b64encode(key.sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    return body, {
        "X-Twilio-Email-Event-Webhook-Signature": signature,
        "X-Twilio-Email-Event-Webhook-Timestamp": at,
    }


def sendgrid_event(**more):
    return {
        "email": ADA,
        "event": "bounce",
        "type": "bounce",
        "status": "5.1.1",
        "reason": f"550 5.1.1 {ADA} unknown",
        "sg_event_id": "e1",
        "smtp-id": f"<{MAIL}@shop.example.test>",
        **more,
    }


def mailgun(*, key=MAILGUN_KEY, at=None, token="token-1", **more):
    at = str(int(at or time()))
    block = key.encode().ljust(64, b"\0")  # HMAC by its definition (RFC 2104)
    inner = hashlib.sha256(bytes(one ^ 0x36 for one in block) + f"{at}{token}".encode()).digest()
    signature = hashlib.sha256(bytes(one ^ 0x5C for one in block) + inner).hexdigest()
    data = {
        "event": "failed",
        "severity": "permanent",
        "id": "g1",
        "recipient": ADA,
        "delivery-status": {"code": 550, "message": f"5.1.1 {ADA} unknown"},
        "message": {"headers": {"message-id": f"{MAIL}@shop.example.test"}},
        **more,
    }
    return {"signature": {"timestamp": at, "token": token, "signature": signature}, "event-data": data}


def postmark(**more):
    return {"RecordType": "Bounce", "Type": "HardBounce", "ID": 42, "Email": ADA, "Details": "550 unknown", **more}


def basic(password=POSTMARK_PASSWORD, user="cartmesh"):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def requests():
    """A hard bounce and a complaint, as each provider sends them."""
    spam = {"event": "spamreport", "sg_event_id": "e2"}
    return {
        "ses": (sns(ses()), {}, sns(ses("Complaint", feedbackId="f2"), version="1"), {}),
        "sendgrid": (*sendgrid([sendgrid_event()]), *sendgrid([sendgrid_event(**spam)])),
        "mailgun": (mailgun(), {}, mailgun(token="token-2", event="complained", id="g2"), {}),
        "postmark": (postmark(), basic(), postmark(RecordType="SpamComplaint", ID=43), basic()),
    }


@pytest.mark.parametrize("name", ["ses", "sendgrid", "mailgun", "postmark"])
async def test_a_bounce_and_a_complaint_are_stored_once_and_suppress_the_address(provider, name):
    """Sent three times, as providers do until they get an answer; a complaint outweighs a bounce."""
    bounce, its_headers, complaint, other_headers = requests()[name]

    answers = [await provider.send(name, bounce, **its_headers) for _ in range(3)]
    answers += [await provider.send(name, complaint, **other_headers) for _ in range(2)]

    bounced, complained, *suppressed = await provider.stored()
    assert [(one.status_code, one.json()["stored"]) for one in answers] == [(200, n) for n in (1, 0, 0, 1, 0)]
    assert (bounced.hard, bounced.domain, bounced.source) == (True, "example.com", name)
    assert bounced.mail == (None if name == "postmark" else MAIL)
    assert "ada" not in f"{bounced}{complained}".lower()
    assert [(one.suppressed, one.reason) for one in suppressed] == [(True, "hard-bounce"), (True, "complaint")]


def forged():
    """What is not proven, and why."""
    other, stranger = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    body, headers = sendgrid([sendgrid_event()])
    old = datetime.now(UTC) - timedelta(days=2)
    ahead = time() + 3600
    return {
        "ses, another key": ("ses", sns(ses(), key=stranger), {}),
        "ses, another message": ("ses", sns(ses(), Message=json.dumps(ses("Complaint"))), {}),
        "ses, another time": ("ses", sns(ses(), Timestamp="2026-11-29T00:00:00.000Z"), {}),
        "ses, another topic": ("ses", sns(ses(), signed={"TopicArn": f"{TOPIC}2"}), {}),
        "ses, old": ("ses", sns(ses(), at=old), {}),
        "ses, no signature": ("ses", {**sns(ses()), "Signature": ""}, {}),
        "ses, unknown version": ("ses", sns(ses(), SignatureVersion="3"), {}),
        "ses, foreign certificate": ("ses", sns(ses(), signed={"SigningCertURL": "https://evil.example/a.pem"}), {}),
        "ses, no envelope": ("ses", [], {}),
        "sendgrid, another key": ("sendgrid", *sendgrid([sendgrid_event()], key=other)),
        "sendgrid, another body": ("sendgrid", body.replace(b"e1", b"e9"), headers),
        "sendgrid, another time": ("sendgrid", body, {**headers, "X-Twilio-Email-Event-Webhook-Timestamp": "1"}),
        "sendgrid, old": ("sendgrid", *sendgrid([sendgrid_event()], at=old.timestamp())),
        "sendgrid, in the future": ("sendgrid", *sendgrid([sendgrid_event()], at=ahead)),
        "sendgrid, no headers": ("sendgrid", body, {}),
        "mailgun, another key": ("mailgun", mailgun(key="another"), {}),
        "mailgun, old": ("mailgun", mailgun(at=old.timestamp()), {}),
        "mailgun, in the future": ("mailgun", mailgun(at=ahead), {}),
        "mailgun, no signature": ("mailgun", {"event-data": mailgun()["event-data"]}, {}),
        "mailgun, no object": ("mailgun", [1], {}),
        "postmark, another password": ("postmark", postmark(), basic("guessed")),
        "postmark, another user": ("postmark", postmark(), basic(user="root")),
        "postmark, no password": ("postmark", postmark(), {}),
        "postmark, no base64": ("postmark", postmark(), {"Authorization": "Basic ???"}),
    }


@pytest.mark.parametrize("why", forged())
async def test_what_is_not_proven_gets_401_and_changes_nothing(provider, why):
    """Another key, body, time or topic; too old; nothing at all."""
    name, body, headers = forged()[why]

    answer = await provider.send(name, body, **headers)

    assert (answer.status_code, await provider.stored()) == (401, [])
    assert answer.headers["content-type"].startswith("application/problem+json")


async def test_a_token_of_mailgun_is_good_for_the_body_that_it_came_with(provider):
    """Its signature says nothing of the body: who saw one could otherwise suppress any address."""
    first = mailgun()
    answers = [await provider.send("mailgun", first)]
    altered = {**first, "event-data": {**first["event-data"], "recipient": "victim@example.com", "id": "g9"}}
    answers.append(await provider.send("mailgun", altered))

    assert [one.status_code for one in answers] == [200, 401]
    assert "another body" in answers[1].json()["detail"]
    assert len(await provider.stored()) == 2


async def test_a_provider_that_is_not_set_up_is_refused(provider, monkeypatch, regions):
    """Without a key nothing is proven: an empty key is none that anybody could sign with."""
    for name in ("SES_TOPICS", "SENDGRID_WEBHOOK_KEY", "POSTMARK_WEBHOOK_PASSWORD", "MAILGUN_WEBHOOK_KEY"):
        monkeypatch.delenv(f"CARTMESH_{name}")
    mesh = Mesh(regions.broker("us"), "mail-reports")
    async with (
        serving(app(mesh, provider.amazon.fetch), "127.0.0.1", 0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        tries = [
            ("ses", json.dumps(sns(ses())).encode(), {}),
            ("sendgrid", *sendgrid([sendgrid_event()])),
            ("mailgun", json.dumps(mailgun(key="")).encode(), {}),
            ("postmark", json.dumps(postmark()).encode(), basic("")),
        ]
        answers = [await client.post(f"/mail-reports/{name}", content=body, headers=head) for name, body, head in tries]

    assert [one.status_code for one in answers] == [401] * 4
    assert await provider.stored() == []


async def test_nothing_is_fetched_for_a_message_that_is_not_of_our_topic(provider):
    """A forged message makes nobody fetch anything, and of a right one the certificate is fetched once."""
    for body in (
        sns(ses(), TopicArn="arn:aws:sns:eu-west-1:1:x"),
        sns(ses(), SigningCertURL="https://evil.example/a.pem"),
    ):
        await provider.send("ses", body)
    before = list(provider.amazon.fetched)
    for _ in range(3):
        await provider.send("ses", sns(ses()))

    assert (before, provider.amazon.fetched) == ([], [CERTIFICATE_URL])


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
        "https://evil.example#sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com:444/a.pem",
        "https://sns.eu-west-1.amazonaws.com\\@evil.example/a.pem",
        "https://s3.eu-west-1.amazonaws.com/bucket/a.pem",
        "https://sns.evil.example.amazonaws.com/a.pem",
        "https://127.0.0.1/a.pem",
        "file:///etc/passwd.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem\r\nHost: evil.example",
        "//sns.eu-west-1.amazonaws.com/a.pem",
        "https://[sns.eu-west-1.amazonaws.com/a.pem",
        "",
    ],
)
async def test_only_sns_itself_is_asked(url):
    """Whatever the address looks like; what fetches looks once more."""
    assert not is_sns(url, path=".pem")
    with pytest.raises(Unproven):
        await fetch_from_sns(url)


@pytest.mark.parametrize("found", [b"no certificate", certificate(days=-1), b""])
async def test_a_certificate_that_is_none_proves_nothing(provider, found):
    """Or one that has expired."""
    provider.amazon.there[CERTIFICATE_URL] = found

    assert (await provider.send("ses", sns(ses()))).status_code == 401


async def test_a_subscription_is_confirmed_at_sns_alone(provider):
    """The address that confirms is signed, and looked at all the same."""
    good = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"
    provider.amazon.there[good] = b"<ok/>"
    right = await provider.send("ses", sns({}, kind="SubscriptionConfirmation"))
    wrong = sns({}, kind="SubscriptionConfirmation", signed={"SubscribeURL": "https://evil.example/"})

    assert (right.status_code, (await provider.send("ses", wrong)).status_code) == (200, 401)
    assert provider.amazon.fetched == [CERTIFICATE_URL, good]


@pytest.mark.parametrize(
    ("name", "body", "headers"),
    [
        ("ses", sns("no object"), {}),
        ("sendgrid", *sendgrid({"no": "list"})),
        ("sendgrid", *sendgrid([sendgrid_event()] * 1001)),
        ("mailgun", {**mailgun(), "event-data": None}, {}),
        ("postmark", [1], basic()),
        ("postmark", b"{", basic()),
    ],
)
async def test_what_is_proven_and_makes_no_sense_is_refused_as_such(provider, name, body, headers):
    """422: the provider sees that something is wrong with what it sends."""
    assert (await provider.send(name, body, **headers)).status_code == 422


async def test_what_is_no_bounce_changes_nothing(provider):
    """Deliveries, opens, blocks of a message and out-of-office answers are taken, and left."""
    events = [sendgrid_event(event="delivered"), sendgrid_event(event="open"), {}, 7, {"event": ["x"]}]
    answers = [
        await provider.send("sendgrid", (made := sendgrid(events))[0], **made[1]),
        await provider.send("postmark", postmark(Type="AutoResponder"), **basic()),
        await provider.send("mailgun", mailgun(event="opened")),
        await provider.send("ses", sns({"notificationType": "Delivery", "delivery": {}})),
    ]

    assert [(one.status_code, one.json()["stored"]) for one in answers] == [(200, 0)] * 4
    assert (await provider.send("fax", b"")).status_code == 404


async def test_repeated_bounces_for_now_suppress_after_a_bound(provider):
    """Five within thirty days; one that is counted twice by its provider counts once."""
    for n in (1, 1, 2, 3, 4):
        await provider.send("mailgun", mailgun(token=f"t{n}", id=f"g{n}", severity="temporary"))
    before = [one for one in await provider.stored() if isinstance(one, AddressSuppressed)]
    await provider.send("mailgun", mailgun(token="t5", id="g5", severity="temporary"))

    stored = await provider.stored()
    assert before == []
    assert [len(one.soft) for one in stored if isinstance(one, MailBounced)] == [1, 2, 3, 4, 5]
    assert [one.reason for one in stored if isinstance(one, AddressSuppressed)] == ["soft-bounces"]
