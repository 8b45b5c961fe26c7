"""E-mail messages: headers as the RFCs want them, and the result of each attempt to send."""

import asyncio
import email
from contextlib import asynccontextmanager
from email.policy import default

import pytest
from structlog.testing import capture_logs

from notifications.channels.delivery_errors import Undelivered, Unknown, reason_of
from notifications.channels.email_message import MailSettings, compose, message_id, recipient
from notifications.channels.mailer import warn_of_missing_address
from notifications.channels.smtp import Pool, SmtpSettings
from notifications.inbox.server import inbox
from notifications.inbox.store import record
from notifications.render_pool import CardText, Rendered
from notifications.template_variables import Shop

RENDERED = Rendered(
    locale="ja_JP",
    subject="カートの商品が10%オフになります。お早めにご確認ください。ありがとうございます。",
    html="<p>Grüße</p>" * 300,
    text="Grüße\n.\nein Punkt allein\n",
    card=CardText(title="", body="", action=""),
)


def message(offer="o1", settings=None):
    return compose(
        RENDERED,
        to="ada@example.test",
        offer_id=offer,
        unsubscribe_url="https://x.test/unsubscribe/" + "t" * 300,
        settings=settings or MailSettings(),
    )


@pytest.mark.parametrize(
    ("address", "host", "warned"),
    [
        ("", "smtp.example.test", True),
        ("Teeweg 1, 20095 Hamburg", "smtp.example.test", False),
        ("", "127.0.0.1", False),
    ],
)
def test_mails_without_a_postal_address_that_leave_the_machine_are_warned_of(address, host, warned):
    """Many countries' laws want the sender's address; development and tests need none."""
    with capture_logs() as logs:
        warn_of_missing_address(Shop(shop_address=address), host)

    assert ["CARTMESH_SHOP_ADDRESS" in one["event"] for one in logs] == [True] * warned


def test_a_message_reads_back_as_it_was_written():
    """Subject, both bodies, and every header, by the standard library's parser without a defect."""
    read = email.message_from_bytes(message(), policy=default)

    assert read.defects == []
    assert read["Subject"] == RENDERED.subject
    assert read.get_body(("plain",)).get_content() == RENDERED.text
    assert read.get_body(("html",)).get_content() == RENDERED.html
    assert read["List-Unsubscribe"] == "<https://x.test/unsubscribe/" + "t" * 300 + ">"
    assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert read["Message-ID"] == message_id("o1", MailSettings()) == "<o1@shop.example.test>"
    assert read["X-Cartmesh-Offer"] == "o1"
    assert all(len(line) < 998 for line in message().split(b"\r\n"))


def test_sender_names_may_be_of_any_script():
    """Encoded, so that the head stays ASCII."""
    settings = MailSettings(mail_from="Café Süß <shop@example.test>", mail_reply_to="help@example.test")

    read = email.message_from_bytes(message(settings=settings), policy=default)

    assert read["From"].addresses[0].display_name == "Café Süß"
    assert read["Reply-To"] == "help@example.test"


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("ada@example.test", "ada@example.test"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ädä@example.test", None),
        ("a@b@c", None),
        ("a\r\nRCPT TO:<b@c>@d.test", None),
        ("<a>@b.test", None),
        ("", None),
        (None, None),
        ("x" * 65 + "@example.test", None),
    ],
)
def test_only_addresses_are_written_to(given, written):
    """Nothing can smuggle a command or a second recipient."""
    assert recipient(given) == written


def test_reasons_hold_no_addresses():
    """They are stored where they cross borders."""
    assert reason_of("550 <ada@example.test>:\r\n no such user ada@example.test") == (
        "550 <[address]>: no such user [address]"
    )


@pytest.fixture
async def box(tmp_path):
    async with inbox(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def pool_to(port, **more):
    pool = Pool(SmtpSettings(smtp_port=port, smtp_timeout=5, **more))
    try:
        yield pool
    finally:
        await pool.close()


async def test_the_inbox_keeps_its_own_record(box):
    """Every accepted message with its body, readable again after the end."""
    async with pool_to(box.smtp_port) as pool:
        await asyncio.gather(*(pool.send("s@x.test", "ada@example.test", message(f"o{at}")) for at in range(20)))

    kept = list(record(box.folder))
    assert sorted(mail.offer_id for mail in kept) == sorted(f"o{at}" for at in range(20))
    assert kept == box.mails
    assert kept[0].subject == RENDERED.subject
    assert (box.folder / kept[0].file).read_bytes().count(b"Content-Type: text/") == 2
    assert box.opened(kept[0]).get_body(("plain",)).get_content() == RENDERED.text


@pytest.mark.parametrize(("answer", "again"), [("451 later", True), ("421 closing", True), ("550 never", False)])
async def test_a_refused_recipient_is_undelivered_and_the_connection_goes_on(box, answer, again):
    """4xx may be tried again, 5xx not; the next mail is not harmed."""
    box._refuse = {"ada@example.test": answer}.get
    async with pool_to(box.smtp_port, smtp_connections=1) as pool:
        with pytest.raises(Undelivered, match=answer) as raised:
            await pool.send("s@x.test", "ada@example.test", message())
        await pool.send("s@x.test", "bob@example.test", message())

    assert raised.value.again == again
    assert len(box.mails) == 1


async def test_connections_that_went_stale_are_replaced_unseen(box):
    """The server closed them meanwhile; the mail goes over a new one."""
    async with pool_to(box.smtp_port) as pool:
        await pool.send("s@x.test", "ada@example.test", message("o1"))
        pool._idle[0].transport.close()

        await pool.send("s@x.test", "ada@example.test", message("o2"))

    assert [mail.offer_id for mail in box.mails] == ["o1", "o2"]


async def test_no_server_is_temporary():
    """Nothing was handed over."""
    async with pool_to(1) as pool:
        with pytest.raises(Undelivered, match=r"no mail server at 127\.0\.0\.1:1") as raised:
            await pool.send("s@x.test", "ada@example.test", message())

    assert raised.value.again


async def test_silence_after_the_message_was_handed_over_is_unknown():
    """A server that takes the message and drops the connection: nobody can know, so nobody says so."""

    async def converse(reader, writer):
        writer.write(b"220 hi\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                writer.write(b"354 go\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                break
            writer.write(b"250 ok\r\n")
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with pool_to(port) as pool:
            with pytest.raises(Unknown):
                await pool.send("s@x.test", "ada@example.test", message())
    finally:
        server.close()


async def test_the_inbox_listens_where_it_did_before(tmp_path):
    """Started again in its folder it has its record and its port: whoever sends there finds it."""
    async with inbox(tmp_path) as first, pool_to(first.smtp_port) as pool:
        await pool.send("s@x.test", "ada@example.test", message())

    async with inbox(tmp_path) as second:
        assert second.smtp_port == first.smtp_port
        assert [mail.offer_id for mail in second.mails] == ["o1"]
