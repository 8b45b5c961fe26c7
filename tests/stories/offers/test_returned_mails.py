"""What comes back of mails: a bounce in the mailbox ends offers to its address, in every region, and nothing else."""

from datetime import UTC, datetime

import pytest

from mesh import Mesh
from mesh.events.address import AddressSuppressed
from mesh.events.mail import MailBounced
from mesh.events.offer import OfferDecided, OfferSent
from mesh.profiles import address_digest
from notifications.mail_reference import HEADER
from notifications.mail_reports import look_into_mailbox
from notifications.mail_reports import service as mail_reports
from tests.returned_mails import postfix


@pytest.fixture
def maildir(tmp_path, monkeypatch):
    """The mailbox that bounces arrive in."""
    folder = tmp_path / "bounces"
    for name in ("new", "cur", "tmp"):
        (folder / name).mkdir(parents=True)
    monkeypatch.setenv("CARTMESH_BOUNCE_MAILBOX", f"maildir:{folder}")
    monkeypatch.setenv("CARTMESH_BOUNCE_ADDRESS", "bounces@shop.example.test")
    return folder


def arrive(maildir, raw, name="1.mail"):
    """A mail is delivered as a Maildir is delivered to."""
    (maildir / "tmp" / name).write_bytes(raw)
    (maildir / "tmp" / name).rename(maildir / "new" / name)


def headers_of(message):
    return "".join(f"{name}: {value}\r\n" for name, value in message.items() if name in ("Message-ID", HEADER))


async def test_a_hard_bounce_ends_offers_to_its_address_in_every_region(
    at_work, shop, shop_in, box, maildir, eventually, regions
):
    """Mailed, returned by Postfix, recorded without the address, suppressed; the next cart says so in plain words."""
    digest, there = address_digest("ada@gone.example"), shop_in("eu")
    async with at_work(), at_work(mail_reports), at_work(region="eu"):
        await shop.identify("ada", email="ada@gone.example")
        await shop.fill("c1", "ada")
        await shop.score("c1", "ada", await shop.leave("c1", "ada"))
        (mail,) = await box.wait_for(1)
        (sent,) = await eventually(lambda: shop.all("c1", OfferSent))

        arrive(maildir, postfix("ada@gone.example", headers_of(box.opened(mail))))
        await look_into_mailbox(datetime.now(UTC), Mesh(regions.broker("us"), "mail-reports", others=("eu",)))
        bounced = (await eventually(lambda: shop.mesh.last(MailBounced, digest))).event
        suppressed = (await eventually(lambda: shop.mesh.last(AddressSuppressed, digest))).event
        await eventually(lambda: there.mesh.last(AddressSuppressed, digest, region="us"))
        await there.identify("ada-there", email="Ada@GONE.example")
        for at, visitor, cart in ((shop, "ada", "c2"), (there, "ada-there", "c3")):
            await at.fill(cart, visitor)
            await at.score(cart, visitor, await at.leave(cart, visitor))
        decided = [
            (await eventually(lambda at=at, cart=cart: at.all(cart, OfferDecided)))[0]
            for at, cart in ((shop, "c2"), (there, "c3"))
        ]

    assert [len(list((maildir / one).iterdir())) for one in ("new", "cur")] == [0, 1]
    assert sent.domain == "gone.example"
    assert (bounced.hard, bounced.domain, bounced.status, bounced.mail) == (
        True,
        "gone.example",
        "5.1.1",
        sent.offer_id,
    )
    assert "ada" not in bounced.reason
    assert "[address]" in bounced.reason
    assert (suppressed.suppressed, suppressed.reason) == (True, "hard-bounce")
    for one in decided:
        (check,) = [check for check in one.checks if check.name == "address"]
        assert (check.passed, check.value) == (False, "nothing is sent to it: a mail came back for good")
        assert "email" not in one.channels
    assert len(box.mails) == 1
