"""Pages: who mails come from, the DNS records for that, and what DNS says when somebody asks.

The private key is with `channels`, which sign, and never here: the studio is configured with the public half
(`CARTMESH_DKIM_PUBLIC_KEY`, as `cartmesh mail-keys` prints it). That is what DNS publishes anyway, so nothing is lost
where a page or the studio's process is broken into, and no service has to ask another one for it.
"""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.exceptions import ClientException

from mesh import Mesh
from mesh.settings import read
from mesh.web.audit import note
from mesh.web.console import Console
from mesh.web.guard import CHANGES_NOTHING, require
from mesh.web.roles import MARKETER, PUBLISHER
from notifications.channels.email_message import MailSettings
from notifications.channels.smtp import SmtpSettings
from notifications.mail_reports.requests import Done, Resume
from notifications.sender_records import SenderRecord, SenderSettings, sender_records
from notifications.studio.sender_pages.comparison import Verdict, compare, names_of
from notifications.studio.sender_pages.public_dns import DnsSettings, PublicDns
from notifications.studio.sender_pages.rates import read_domains
from notifications.studio.studio import Studio
from notifications.template_variables import Shop

PATH = "/sender"
PATIENCE = timedelta(seconds=10)
ROLES = {"marketer": MARKETER.name, "publisher": PUBLISHER.name}
place_name = re.compile(r"[a-z0-9_-]{1,128}").fullmatch


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What DNS said, by kind of record, and when."""

    at: datetime
    verdicts: dict[str, Verdict]


class LastCheck:
    """The newest check of this process, for everybody who looks later."""

    def __init__(self) -> None:
        self.checked: Checked | None = None


def routes(console: Console, mesh: Mesh) -> list[Any]:
    """All below `/sender`."""
    studio, dns, last = Studio(console, mesh, PATH), PublicDns(read(DnsSettings)), LastCheck()
    mail, shop = read(MailSettings), read(Shop)
    records = sender_records(read(SenderSettings), mail_from=mail.mail_from, smtp_host=read(SmtpSettings).smtp_host)
    name, address = parseaddr(mail.mail_from)

    async def show(request: Request[Any, Any, Any]) -> Response[bytes]:
        rates = await read_domains(mesh)
        shown = {
            "name": name,
            "address": address,
            "reply_to": mail.mail_reply_to,
            "shop": shop,
            "records": records,
            "rates": rates,
        }
        return studio.show(request, "sender.html.j2", {**shown, "checked": last.checked, **ROLES})

    @get("/")
    async def show_sender(request: Request[Any, Any, Any]) -> Response[bytes]:
        """The sender, the records as they should be, and the last check."""
        return await show(request)

    @post("/check", status_code=200, opt={CHANGES_NOTHING: True})
    async def check_sender(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Ask DNS now."""
        require(request, MARKETER.name)
        last.checked = await check(records, dns)
        return await show(request)

    @post("/resume", status_code=200)
    async def resume_sending(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Let offers to a domain go out again."""
        person, place = require(request, PUBLISHER.name), str((await request.form()).get("place", ""))
        if not place_name(place):
            raise ClientException("the form names no domain: load the page again")
        await mesh.ask(
            "mail-reports", "resume-sending", Resume(place=place, by=person.account.id), Done, within=PATIENCE
        )
        note(request, place)
        return await show(request)

    return [show_sender, check_sender, resume_sending, studio.files]


async def check(records: tuple[SenderRecord, ...], dns: PublicDns) -> Checked:
    """Ask for every record whose value is known, all at the same time."""
    known = [one for one in records if one.value]
    answers = await dns.ask_all([name for one in known for name in names_of(one)])
    verdicts = {one.kind: compare(one, [answers[name] for name in names_of(one)]) for one in known}
    return Checked(at=datetime.now(UTC), verdicts=verdicts)
