"""Signed mails: as a mail server received them they verify by what DNS would publish, and no longer once changed."""

import re
from time import process_time

import dkim
import pytest

from mesh.errors import DeclarationError
from mesh.runtime.run import running
from notifications.channels.email_message import MailSettings, compose, compose_transactional
from notifications.channels.service import service as channels
from notifications.channels.signer import SigningSettings, open_signer
from notifications.channels.smtp import Pool, SmtpSettings
from notifications.inbox.server import inbox
from notifications.mail_keys import mail_keys, make_key
from notifications.render_pool import CardText, Rendered
from notifications.sender_records import SenderSettings, sender_records

RENDERED = Rendered(
    locale="ja_JP",
    subject="カートの商品が10%オフになります。お早めにご確認ください。ありがとうございます。",
    html="<p>Grüße</p>" * 300,
    text="Grüße\n.\nein Punkt allein \n\n\n",
    card=CardText(title="", body="", action=""),
)
MAIL = MailSettings(mail_from="Shop <offers@Shop.example.test>", mail_reply_to="help@shop.example.test")
KEYS = {kind: make_key(kind) for kind in ("rsa", "ed25519")}
CHANGES = {
    "body": (b"R3LDvMOfZQ", b"R3LDvMOfZg"),
    "subject": (b"Subject: =?utf-8?b?44Kr", b"Subject: =?utf-8?b?44Ks"),
    "second subject": (b"Subject: =", b"Subject: Now free\r\nSubject: ="),
    "second sender": (b"From: ", b"From: evil@example.test\r\nFrom: "),
    "recipient": (b"To: ada@", b"To: bob@"),
    "unsubscribe link": (b"List-Unsubscribe: <https://x.test", b"List-Unsubscribe: <https://y.test"),
    "one-click": (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b""),
    "type": (b"Content-Type: multipart/alternative", b"Content-Type: multipart/mixed"),
}
"""What is changed on the way, and how."""


def offer():
    link = "https://x.test/unsubscribe/" + "t" * 300
    return compose(RENDERED, to="ada@example.test", offer_id="o1", unsubscribe_url=link, settings=MAIL)


def signer(kind="rsa", **more):
    return open_signer(SigningSettings(dkim_key=KEYS[kind][0], dkim_selector="k1", **more), MAIL.mail_from)


def dns(kind="rsa", public=""):
    """What DNS answers once the records are published."""
    settings = SenderSettings(dkim_selector="k1", dkim_public_key=public or KEYS[kind][1])
    records = sender_records(settings, mail_from=MAIL.mail_from, smtp_host="smtp.example.test")
    published = {f"{one.name}.": one.value.encode() for one in records}
    return lambda name, **_: published.get(name.decode())


async def received(tmp_path, *messages, kind="rsa"):
    """The messages as a mail server got them."""
    async with inbox(tmp_path) as box:
        pool = Pool(SmtpSettings(smtp_port=box.smtp_port), signer(kind))
        try:
            for one in messages:
                await pool.send(MAIL.sender(), "ada@example.test", one)
        finally:
            await pool.close()
        return [(tmp_path / mail.file).read_bytes() for mail in box.mails]


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
async def test_a_signed_mail_verifies_as_it_was_received_and_no_longer_once_changed(kind, tmp_path):
    """Body, subject, links to unsubscribe: each change breaks it, and so does a second sender or subject."""
    (mail,) = await received(tmp_path, offer(), kind=kind)

    changed = {name: mail.replace(*change, 1) for name, change in CHANGES.items()}

    assert dkim.verify(mail, dnsfunc=dns(kind))
    assert [name for name, one in changed.items() if one == mail] == []
    assert [name for name, one in changed.items() if dkim.verify(one, dnsfunc=dns(kind))] == []
    assert not dkim.verify(mail, dnsfunc=dns(kind, make_key(kind)[1]))


async def test_what_is_covered_is_what_the_mail_has(tmp_path):
    """RFC 8058 wants both headers of one-click unsubscribe covered; a mail about an order has none of them."""
    about_order = compose_transactional(RENDERED, to="ada@example.test", key="m1", settings=MAIL)

    mails = await received(tmp_path, offer(), about_order)

    assert [dkim.verify(one, dnsfunc=dns()) for one in mails] == [True, True]
    heads = [re.sub(rb"\s+", b"", one.partition(b"\r\nFrom:")[0]).decode() for one in mails]
    always = "from:reply-to:to:subject:date:message-id:mime-version:content-type"
    assert f";h={always}:list-unsubscribe:list-unsubscribe-post:from:subject;" in heads[0]
    assert f";h={always}:from:subject;" in heads[1]
    assert all(";d=shop.example.test;s=k1;" in one for one in heads)
    assert max(len(line) for one in mails for line in one.split(b"\r\n")) <= 400


def test_a_mail_verifies_however_it_is_folded_on_the_way():
    """Servers may fold headers anew and add blank lines at the end."""
    mail = signer().sign(offer())
    folded = mail.replace(b"\r\nTo: ada", b"\r\nTo:\r\n   ada").replace(b"Date: ", b"DATE:   ") + b"\r\n\r\n"

    assert folded != mail
    assert dkim.verify(folded, dnsfunc=dns())


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_signing_takes_less_than_with_dkimpy_alone(kind):
    """In time of the processor, so that a busy machine proves nothing; `-s` prints how many a second there are."""
    mail, ours = offer(), signer(kind)

    rate = _rate(lambda: ours.sign(mail), times=100)
    alone = _rate(lambda: dkim.sign(mail, b"k1", b"shop.example.test", KEYS["rsa"][0].encode()), times=10)

    print(f"{kind}: {rate:,.0f} mails of {len(mail):,} bytes a second; dkimpy alone with RSA: {alone:,.0f}")
    assert rate > 2 * alone


def _rate(sign, *, times):
    """How many a second of processor time."""
    sign()
    begun = process_time()
    for _ in range(times):
        sign()
    return times / (process_time() - begun)


def test_without_settings_nothing_is_signed():
    """As in development."""
    assert open_signer(SigningSettings(), MAIL.mail_from) is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dkim_selector": "k1"}, "CARTMESH_DKIM_SELECTOR is set, but CARTMESH_DKIM_KEY is not"),
        ({"dkim_key": KEYS["rsa"][0]}, "CARTMESH_DKIM_KEY is set, but CARTMESH_DKIM_SELECTOR is not"),
        ({"dkim_selector": "k1", "dkim_key": "/nowhere/key.pem"}, "neither a key in PEM nor the path of a readable"),
        ({"dkim_selector": "k1", "dkim_key": KEYS["rsa"][0][:900]}, "is no private key in PEM"),
        ({"dkim_selector": "k1", "dkim_key": "-----BEGIN " + KEYS["rsa"][1]}, "is no private key in PEM"),
        ({"dkim_selector": "k 1", "dkim_key": KEYS["rsa"][0]}, "CARTMESH_DKIM_SELECTOR: 'k 1' is no name"),
        ({"dkim_selector": "k1", "dkim_domain": "a..b", "dkim_key": KEYS["rsa"][0]}, "CARTMESH_DKIM_DOMAIN: 'a..b'"),
    ],
)
def test_wrong_settings_are_an_error_that_says_what_to_do_and_shows_no_key(settings, said):
    """Before any mail is sent."""
    with pytest.raises(DeclarationError) as raised:
        open_signer(SigningSettings(**settings), MAIL.mail_from)

    assert said in str(raised.value)
    assert "PRIVATE" not in str(raised.value)
    assert KEYS["rsa"][1][50:80] not in str(raised.value)


async def test_channels_do_not_start_with_a_wrong_key(mesh, monkeypatch):
    """Rather than to send mails that nobody trusts."""
    monkeypatch.setenv("CARTMESH_DKIM_SELECTOR", "k1")
    monkeypatch.setenv("CARTMESH_DKIM_KEY", "/nowhere/key.pem")

    with pytest.raises(DeclarationError, match="CARTMESH_DKIM_KEY is neither a key in PEM nor the path"):
        async with running(channels, mesh):
            pass


def test_the_command_makes_a_key_that_signs_what_its_record_verifies(tmp_path, monkeypatch, capsys):
    """The record is in strings of at most 255 bytes; the file is its owner's alone and never overwritten."""
    monkeypatch.setenv("CARTMESH_MAIL_FROM", MAIL.mail_from)
    monkeypatch.setenv("CARTMESH_SPF_SENDERS", "include:_spf.example.net")
    path = tmp_path / "key.pem"

    mail_keys(selector="k1", to=path)

    printed = capsys.readouterr().out
    strings = re.findall(r'"([^"]*)"', next(line for line in printed.splitlines() if line.startswith("k1._domainkey.")))
    made = open_signer(SigningSettings(dkim_key=str(path), dkim_selector="k1"), MAIL.mail_from)
    assert [len(one) for one in strings] == [255, len("".join(strings)) - 255]
    assert dkim.verify(made.sign(offer()), dnsfunc=lambda *_, **__: "".join(strings).encode())
    assert 'shop.example.test. IN TXT ( "v=spf1 include:_spf.example.net ~all" )' in printed
    assert '_dmarc.shop.example.test. IN TXT ( "v=DMARC1; p=none" )' in printed
    assert (path.stat().st_mode & 0o777, "PRIVATE" in printed) == (0o600, False)
    before = path.read_bytes()
    with pytest.raises(DeclarationError, match="is there already"):
        mail_keys(selector="k1", to=path)
    assert path.read_bytes() == before
