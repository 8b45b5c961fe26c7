"""Takes bounces and complaints, from a mailbox and from providers, and keeps the list of suppressed addresses."""

import asyncio
import imaplib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from prometheus_client import Gauge

from mesh import Mesh, Received, Service
from mesh.errors import Conflict
from mesh.events.address import AddressListImported, AddressSuppressed
from mesh.events.customer import ConsentConfirmed
from mesh.events.mail import MailBounced, MailComplained
from mesh.events.sending import SendingPaused
from mesh.observability.logs import log
from mesh.publish import Change
from mesh.settings import read
from notifications.mail_reports import requests
from notifications.mail_reports.filing import Filing
from notifications.mail_reports.intake import BounceSettings
from notifications.mail_reports.looking import look
from notifications.mail_reports.mailbox import MailboxSettings, open_mailbox
from notifications.mail_reports.pausing import PauseSettings, pauses_due
from notifications.mail_reports.receipts import RECEIPTS
from notifications.mail_reports.requests import Done, ImportedPart, Resume, Suppress
from notifications.sender_rates import KINDS, MAILS, RATES, RatesWriter
from notifications.sending_pauses import paused_domains
from notifications.suppressions import SUPPRESSIONS, standing_of
from notifications.unsubscribe_token import LinkSettings

if TYPE_CHECKING:
    from litestar import Litestar

service = Service(
    "mail-reports",
    publishes=(MailBounced, MailComplained, AddressSuppressed, AddressListImported, SendingPaused),
    buckets=(SUPPRESSIONS, RATES, MAILS, RECEIPTS),
    secrets=("secret", "address_secret"),
    port=8210,
)

PAUSED = Gauge(
    "cartmesh_sending_paused_domains", "Domains to which offers are held, as too much comes back.", ["region"]
)
LOOK_EVERY, JUDGE_EVERY = timedelta(seconds=15), timedelta(seconds=10)


@service.resource
async def open_filing(mesh: Mesh) -> AsyncIterator[Filing]:
    """The writer of the list."""
    yield Filing(mesh)


@service.resource
async def open_rates(mesh: Mesh) -> AsyncIterator[RatesWriter]:
    """The writer of the rates."""
    yield RatesWriter(mesh)


@service.on(AddressSuppressed, AddressListImported, reach="mesh", batch=64, ack_wait=timedelta(minutes=2), refills=True)
async def file_suppressions(events: list[Received], filing: Filing) -> None:
    """Keep the list of suppressed addresses, of every region."""
    await filing.apply(events)


@service.on(*KINDS, reach="mesh", batch=256, linger=timedelta(milliseconds=200), projects=(RATES, MAILS))
async def count_mails_by_day(events: list[Received], rates: RatesWriter) -> None:
    """Count how many mails went to which domain, and how many came back."""
    await rates.apply(events)


@service.on(ConsentConfirmed)
async def release_address(received: Received[ConsentConfirmed], mesh: Mesh) -> AsyncIterator[Change]:
    """The owner of an address, who allows mails by the link in one, lifts what was suppressed before."""
    confirmed = received.event
    standing = await standing_of(confirmed.address, mesh)
    if standing.entry and standing.reason and standing.entry.at < received.event_time:
        yield AddressSuppressed(address=confirmed.address, suppressed=False, reason=standing.reason, by="owner")
        yield standing.condition


@service.every(LOOK_EVERY)
async def look_into_mailbox(_: datetime, mesh: Mesh) -> None:
    """Take the bounces and complaints that wait in the mailbox."""
    settings, links = read(MailboxSettings), read(LinkSettings)
    if not settings.bounce_mailbox:
        return
    try:
        mailbox = await asyncio.to_thread(open_mailbox, settings)
        try:
            await look(mailbox, (links.secret, links.secret_before), mesh, read(BounceSettings))
        finally:
            await asyncio.to_thread(mailbox.close)
    except (OSError, imaplib.IMAP4.error) as error:
        log.error("the mailbox with bounces cannot be read: see CARTMESH_BOUNCE_MAILBOX", error=str(error))


@service.every(JUDGE_EVERY)
async def pause_sending(tick: datetime, mesh: Mesh) -> None:
    """Hold offers to the domains from which too much comes back."""
    for changes in await pauses_due(mesh, read(PauseSettings), tick):
        try:
            await mesh.publish(*changes)
        except Conflict:  # another replica paused it, or a person let it go on, at the same moment
            continue
    PAUSED.labels(mesh.region).set(len(await paused_domains(mesh)))


@service.answers
async def suppress_address(asked: Suppress, mesh: Mesh) -> Done:
    """Suppress an address, or release it."""
    return await requests.suppress_address(asked, mesh)


@service.answers
async def import_part(asked: ImportedPart, mesh: Mesh) -> Done:
    """Suppress the addresses of a part of a list."""
    return await requests.store_part(asked, mesh)


@service.answers
async def resume_sending(asked: Resume, mesh: Mesh) -> Done:
    """Let offers to a domain go out again."""
    return await requests.resume_sending(asked, mesh)


@service.http
def webhooks(mesh: Mesh) -> "Litestar":
    """The routes that mail providers report to."""
    from notifications.mail_reports.webhook_app import app  # noqa: PLC0415  brings Litestar, which workers do not need

    return app(mesh)
