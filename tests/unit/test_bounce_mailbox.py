"""The mailbox that mails come back to, as a Maildir and over IMAP: each counts once, and nothing is lost."""

from datetime import UTC, datetime

import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.errors import DeclarationError, Unavailable
from mesh.events.mail import MailBounced
from mesh.group_commit import GroupCommitter
from mesh.profiles import address_digest
from notifications.mail_reference import MailReference
from notifications.mail_reports import look_into_mailbox
from notifications.mail_reports.intake import BounceSettings
from notifications.mail_reports.looking import look
from notifications.mail_reports.mailbox import MailboxSettings, Maildir, open_mailbox
from tests.imap_server import imap_server
from tests.returned_mails import postfix

SECRET, ADA, ID = "of-the-links-in-mails", "ada@example.com", "0123456789abcdef" * 2
REFERENCE = MailReference(kind="offer", id=ID, address=address_digest(ADA))
HEADERS = "".join(f"{name}: {value}\r\n" for name, value in REFERENCE.header(SECRET).items())
BOUNCE, LETTER = postfix(ADA, HEADERS), b"From: ada@example.com\r\nSubject: Where is my parcel?\r\n\r\nHello\r\n"


@pytest.fixture
async def mesh():
    broker = MemoryMesh("us").broker("us")
    yield Mesh(broker, "mail-reports")
    await broker.drain()


@pytest.fixture
def maildir(tmp_path):
    for name in ("new", "cur", "tmp"):
        (tmp_path / "box" / name).mkdir(parents=True)
    return tmp_path / "box"


def files(folder):
    return sorted(one.name for one in folder.iterdir()) if folder.exists() else []


async def bounces(mesh):
    return await mesh.all_of(MailBounced, REFERENCE.address)


async def test_a_maildir_keeps_what_is_for_people_and_counts_the_rest_once(mesh, maildir, tmp_path):
    """Moved only once it is stored; a link out of the folder is not followed."""
    for name, raw in (("1", BOUNCE), ("2", LETTER), ("3", BOUNCE)):
        (maildir / "new" / name).write_bytes(raw)
    (tmp_path / "secret").write_bytes(BOUNCE)
    (maildir / "new" / "4").symlink_to(tmp_path / "secret")

    stored = await look(Maildir(str(maildir)), (SECRET,), mesh, BounceSettings())

    assert (stored, len(await bounces(mesh))) == (1, 1)
    assert (files(maildir / "new"), files(maildir / "cur")) == (["4"], ["1:2,S", "3:2,S"])
    assert files(maildir / ".Other" / "cur") == ["2:2,S"]


async def test_what_cannot_be_stored_stays_and_is_read_again(mesh, maildir, monkeypatch):
    """JetStream is away for a while."""

    async def fails(*_):
        raise Unavailable("no leader")

    (maildir / "new" / "1").write_bytes(BOUNCE)
    with monkeypatch.context() as broken:
        broken.setattr(GroupCommitter, "commit", fails)
        with pytest.raises(Unavailable):
            await look(Maildir(str(maildir)), (SECRET,), mesh, BounceSettings())
    waiting = files(maildir / "new")

    assert await look(Maildir(str(maildir)), (SECRET,), mesh, BounceSettings()) == 1
    assert (waiting, files(maildir / "new")) == (["1"], [])


async def test_an_end_between_storing_and_marking_changes_nothing(mesh, maildir, monkeypatch):
    """It is read again, and known."""
    (maildir / "new" / "1").write_bytes(BOUNCE)

    def ends(*_, **__):
        raise OSError("killed")

    with monkeypatch.context() as broken:
        broken.setattr(Maildir, "done", ends)
        with pytest.raises(OSError, match="killed"):
            await look(Maildir(str(maildir)), (SECRET,), mesh, BounceSettings())

    assert await look(Maildir(str(maildir)), (SECRET,), mesh, BounceSettings()) == 0
    assert len(await bounces(mesh)) == 1


async def test_an_imap_mailbox_is_read_without_marking_what_is_not_stored(mesh, monkeypatch):
    """Seen once it is stored; flagged where it is for people; not read again."""
    monkeypatch.setenv("CARTMESH_SECRET", SECRET)
    async with imap_server() as box:
        for raw in (BOUNCE, LETTER, BOUNCE + b"\r\n"):
            box.arrive(raw)
        monkeypatch.setenv("CARTMESH_BOUNCE_MAILBOX", f"imap://bounces@127.0.0.1:{box.port}/Bounces%20here")
        monkeypatch.setenv("CARTMESH_BOUNCE_MAILBOX_PASSWORD", "a b")
        for _ in range(2):
            await look_into_mailbox(datetime.now(UTC), mesh)

    assert len(await bounces(mesh)) == 1
    assert box.flags == {1: {"\\Seen"}, 2: {"\\Seen", "\\Flagged"}, 3: {"\\Seen"}}
    assert sum("FETCH" in one for one in box.commands) == 3
    assert all("PEEK" in one for one in box.commands if "FETCH" in one)
    assert box.commands[-1] == "LOGOUT"


@pytest.mark.parametrize("setting", ["imap://bounces@127.0.0.1:1/INBOX", "wrong password", "wrong folder"])
async def test_a_mailbox_that_is_away_is_looked_at_again_later(mesh, monkeypatch, setting, capsys):
    """It is logged, with the setting that may be wrong, and without the password."""
    monkeypatch.setenv("CARTMESH_SECRET", SECRET)
    async with imap_server(password="another" if setting == "wrong password" else "a b") as box:
        folder = "INBOX" if setting == "wrong folder" else "Bounces%20here"
        url = setting if "://" in setting else f"imap://bounces@127.0.0.1:{box.port}/{folder}"
        monkeypatch.setenv("CARTMESH_BOUNCE_MAILBOX", url)
        monkeypatch.setenv("CARTMESH_BOUNCE_MAILBOX_PASSWORD", "a b")

        await look_into_mailbox(datetime.now(UTC), mesh)

    said = capsys.readouterr()
    assert "CARTMESH_BOUNCE_MAILBOX" in said.out + said.err
    assert "a b" not in said.out + said.err
    assert await bounces(mesh) == []


@pytest.mark.parametrize("setting", ["/var/mail", "maildir:/nowhere", "pop3://x@y", "imaps:///INBOX", "imaps:"])
def test_a_setting_that_is_wrong_is_an_error_that_says_what_to_write(setting):
    """At the first look."""
    with pytest.raises(DeclarationError, match="CARTMESH_BOUNCE_MAILBOX"):
        open_mailbox(MailboxSettings(bounce_mailbox=setting))
