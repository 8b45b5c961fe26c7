"""Bounces, suppressions and rates on real servers in two regions, each service with no more rights than it has."""

import asyncio
import hmac
import json
import resource
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from time import time

import httpx
import pytest
from cyclopts import App
from prometheus_client import REGISTRY

from mesh.events.address import AddressSuppressed
from mesh.events.customer import ConsentChanged, ConsentConfirmed, CustomerIdentified
from mesh.events.mail import MailBounced
from mesh.events.mesh import PersonalDataShown
from mesh.events.offer import OfferSent
from mesh.events.sending import SendingPaused
from mesh.operations.rebuild import rebuild
from mesh.profiles import address_digest
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from notifications.channels.service import service as channels
from notifications.cli import commands
from notifications.links import service as links
from notifications.mail_reports import requests
from notifications.mail_reports import service as mail_reports
from notifications.mail_reports.requests import Done, Suppress
from notifications.offers import service as offers
from notifications.preference_token import PreferenceLink
from notifications.preference_token import seal as seal_preferences
from notifications.sender_rates import RATES, read_rates
from notifications.sending_pauses import pause_of, place_of
from notifications.studio import service as studio
from notifications.suppression_list import exported, import_list
from notifications.suppressions import read_counts, standing_of
from services.console import service as console
from services.identity import service as identity

SERVICES = [offers, channels, links, mail_reports, studio, console, identity]
TOPOLOGY = Topology.of(["us", "eu"], nodes=1)
KEY, SECRET, ADA = "key-of-mailgun", "of-the-links-in-mails", "ada@bad.example"
DIGEST = address_digest(ADA)


class Mesh:
    """The services that run, and connections of those that do not."""

    def __init__(self, stack, servers):
        self.stack, self.servers = stack, servers

    async def of(self, service, region="us"):
        others = ("eu",) if region == "us" else ("us",)
        connected = await connect(self.servers.access, region, service, others=others)
        self.stack.push_async_callback(connected.broker.drain)
        return connected

    async def client(self, service, region="us", **options):
        run = await self.stack.enter_async_context(
            running(service, await self.of(service.name, region), http=("127.0.0.1", 0))
        )
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port}", timeout=60, **options)
        return await self.stack.enter_async_context(client), run.port


def webhook(number):
    at, token = str(int(time())), f"t{number}"
    signature = hmac.new(KEY.encode(), f"{at}{token}".encode(), sha256).hexdigest()
    data = {
        "event": "failed",
        "severity": "permanent",
        "id": f"g{number}",
        "recipient": ADA,
        "delivery-status": {"code": 550, "message": "5.1.1 unknown"},
        "message": {"headers": {"message-id": f"{'0' * 32}@shop.example.test"}},
    }
    return json.dumps({"signature": {"timestamp": at, "token": token, "signature": signature}, "event-data": data})


@pytest.mark.timeout(240)
async def test_the_whole_way_in_two_regions(eventually, staff, monkeypatch):
    """Reported, stored, filed, heard in the other region, looked at, lifted, counted, paused, rebuilt the same."""
    for name, value in {"SECRET": SECRET, "MAILGUN_WEBHOOK_KEY": KEY, "PAUSE_FROM": "1"}.items():
        monkeypatch.setenv(f"CARTMESH_{name}", value)
    async with AsyncExitStack() as stack:
        mesh = Mesh(stack, await stack.enter_async_context(LocalServers(TOPOLOGY, services=SERVICES)))
        reports, _ = await mesh.client(mail_reports)
        await stack.enter_async_context(running(mail_reports, await mesh.of("mail-reports", "eu")))
        _pages, port = await mesh.client(studio)
        sending, deciding, there = await mesh.of("channels"), await mesh.of("offers"), await mesh.of("channels", "eu")
        sent = OfferSent(cart_id="c1", visitor_id="v1", offer_id="0" * 32, channel="email", domain="bad.example")
        await sending.publish(sent)

        taken = await reports.post("/mail-reports/mailgun", content=webhook(1))
        forged = await reports.post("/mail-reports/mailgun", content=webhook(2).replace("t2", "t3"))
        for one in (sending, deciding, there):
            assert (await eventually(lambda one=one: reason(one)))[0] == "hard-bounce"
        today = datetime.now(UTC).date()
        studios = await mesh.of("studio")
        counted = await eventually(lambda: rates(studios, today))
        paused = await eventually(lambda: pause_of(ADA, sending))
        await eventually(lambda: REGISTRY.get_sample_value("cartmesh_sending_paused_domains", {"region": "us"}))

        person = await staff(await mesh.of("console"), port, "admin")
        found = await person.send("/suppressions/look-up", page="/suppressions", address=ADA.upper())
        listed = await person.send("/suppressions/export", page="/suppressions")
        sender = await person.get("/sender")
        resumed = await person.send("/sender/resume", page="/sender", place=place_of("bad.example"))
        lifted = await person.send("/suppressions/release", page="/suppressions", digest=DIGEST)
        assert (await eventually(lambda: reason(there, suppressed=False)))[0] is None

        rebuilt = await rebuild(await mesh.servers.operator("us"), TOPOLOGY, SERVICES, RATES.name)
        again = await eventually(lambda: rates(studios, today))

        shown, saved, history = await _owner_allows(mesh, sending, eventually)
        await eventually(lambda: emptied(studios))

    assert (taken.status_code, taken.json()["stored"], forged.status_code) == (200, 1, 401)
    assert counted == again == {"bad.example": {"hard": 1, "sent": 1}}
    assert rebuilt.events >= 2
    assert paused
    assert all(page.status_code == 200 for page in (found, listed, sender, resumed, lifted, shown, saved))
    assert "A mail came back for good" in found.text
    assert f"{DIGEST},hard-bounce," in listed.text
    assert "Offers to bad.example are held" in sender.text
    assert "Offers to bad.example are held" not in resumed.text
    assert 'value="no" checked' in shown.text
    assert 'value="yes" checked' in saved.text
    assert history.last(ConsentConfirmed).event.where == "/preferences"


async def _owner_allows(mesh, sending, eventually):
    """The owner of a suppressed address allows mails by the link in one: the pages, and what is stored."""
    shoppers, _ = await mesh.client(links)
    identity_mesh = await mesh.of("identity")
    await identity_mesh.publish(CustomerIdentified(visitor_id="v1", email=ADA))
    await identity_mesh.publish(ConsentChanged(visitor_id="v1", channel="email", granted=False))
    due = int(time())
    token = seal_preferences(PreferenceLink(visitor_id="v1", address=DIGEST, offer_id="o", due=due), SECRET)
    asked = Suppress(address=DIGEST, suppressed=True, reason="complaint", by="a1")
    await requests.suppress_address(asked, await mesh.of("mail-reports"))
    shown = await shoppers.get(f"/preferences/{token}")
    saved = await shoppers.post(f"/preferences/{token}", data={"marketing.email": "yes"})
    await eventually(lambda: owner_said(sending))
    return shown, saved, await identity_mesh.history("v1", "customer")


async def reason(mesh, *, suppressed=True):
    """Why the address is suppressed, in a list, once it is (or no longer is) as it should be."""
    standing = await standing_of(DIGEST, mesh)
    return [standing.reason] if standing.entry and standing.entry.suppressed is suppressed else None


async def rates(mesh, today):
    found = await read_rates(mesh, today=today)
    return found if found.get("bad.example", {}).get("hard") else None


async def owner_said(mesh):
    last = await mesh.last(AddressSuppressed, DIGEST)
    return last.event.by == "owner" and not last.event.suppressed


async def emptied(mesh):
    """Whether nobody is on the list."""
    return not await read_counts(mesh)


@pytest.mark.timeout(240)
async def test_the_commands_import_and_export_with_an_operators_rights(eventually, tmp_path, capsys):
    """Bad lines are named; addresses are printed for a reason alone, which is put on record; none starts a formula."""
    app = App(name="cartmesh", result_action="return_value")
    commands(app)
    file = tmp_path / "list.csv"
    file.write_text(f"email\n{ADA}\nnobody\n=cmd@example.com\n")
    async with AsyncExitStack() as stack:
        servers = LocalServers(Topology.of(["us"], nodes=1), services=SERVICES)
        mesh = Mesh(stack, await stack.enter_async_context(servers))
        mesh.servers.access.write(tmp_path / "servers.json")
        reports = await connect(mesh.servers.access, "us", "mail-reports")
        stack.push_async_callback(reports.broker.drain)
        await stack.enter_async_context(running(mail_reports, reports))
        identities = await connect(mesh.servers.access, "us", "identity")
        stack.push_async_callback(identities.broker.drain)
        for visitor, email in (("v1", ADA), ("v2", "=cmd@example.com")):
            await identities.publish(CustomerIdentified(visitor_id=visitor, email=email))

        async def run(*words):
            line = ["suppressions", *map(str, words), "--servers", str(tmp_path / "servers.json")]
            await asyncio.to_thread(app, line, exit_on_error=False, print_error=False)
            return capsys.readouterr()

        with pytest.raises(SystemExit, match="1"):
            await run("import", file)
        said = capsys.readouterr()
        await eventually(lambda: _all_counted(reports, 2))
        bare = (await run("export")).out
        with pytest.raises(SystemExit, match="--reason"):
            await run("export", "--addresses")
        whole = (await run("export", "--addresses", "--reason", "moving away")).out
        (noted,) = [one.event async for one in identities.read(PersonalDataShown)]

    assert (said.out, said.err) == ("2 addresses from 2 lines; 1 lines have no address\n", "line 3: no address in it\n")
    assert bare.splitlines()[0] == "digest,reason,since"
    assert "@" not in bare
    assert {row.rpartition(",")[2] for row in whole.splitlines()} == {"address", ADA, "'=cmd@example.com"}
    assert (noted.reason, noted.question) == ("moving away", "the addresses that are suppressed")


def test_one_service_writes_what_is_said_of_addresses():
    """And the studio asks it: nobody else may publish any of it."""
    wanted = {MailBounced, AddressSuppressed, SendingPaused}
    writers = {kind: [one.name for one in SERVICES if kind in one.publishes] for kind in wanted}

    assert set(map(tuple, writers.values())) == {("mail-reports",)}


@pytest.mark.drill
@pytest.mark.timeout(1800)
async def test_two_million_addresses_are_imported_with_bounded_memory(tmp_path, eventually):
    """On three servers: read, stored, filed, each address found; the process grows by less than 200 MB."""
    file, count = tmp_path / "list.csv", 2_000_000
    with file.open("w") as lines:
        lines.write("name,email\n")
        lines.writelines(f"Somebody,person.{n}@example{n % 9973}.test\n" for n in range(count))
    async with AsyncExitStack() as stack:
        servers = LocalServers(Topology.of(["us"], nodes=3), services=SERVICES)
        mesh = Mesh(stack, await stack.enter_async_context(servers))
        reports = await connect(mesh.servers.access, "us", "mail-reports")
        stack.push_async_callback(reports.broker.drain)
        await stack.enter_async_context(running(mail_reports, reports))
        studios = await connect(mesh.servers.access, "us", "studio")
        stack.push_async_callback(studios.broker.drain)
        before, began = _memory(), time()

        async def send(part):
            await studios.ask("mail-reports", "import-part", part, Done, within=timedelta(seconds=60))

        async def pause():
            await asyncio.sleep(0)

        with file.open("rb") as opened:
            read = await import_list(opened, send, named="l1", by="a1", at=datetime.now(UTC), pause=pause)
        stored = time()
        await eventually(lambda: _all_counted(studios, count), within=600)
        filed = time()
        found = [
            (await standing_of(address_digest(f"person.{n}@example{n}.test"), studios)).reason for n in (0, 1, 9972)
        ]
        looked = time()
        rows = 0
        async for part in exported(studios):
            rows += part.count("\n")
        ended = time()

    print(
        f"\n{read.addresses:,} addresses: read and stored in {stored - began:.0f} s, "
        f"filed {filed - stored:.0f} s later, looked up in {(looked - filed) / 3 * 1000:.1f} ms, "
        f"exported in {ended - looked:.0f} s, "
        f"{_memory() - before:.0f} MB more at the most"
    )
    assert (read.addresses, read.refused, rows) == (count, 0, count + 1)
    assert found == ["imported"] * 3
    assert _memory() - before < 200


async def _all_counted(mesh, count):
    return await read_counts(mesh) == {"imported": count}


def _memory():
    """The most memory that this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
