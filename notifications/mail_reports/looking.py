"""Looking: what waits in the mailbox is read, stored and marked as done."""

import asyncio

from mesh import Mesh
from mesh.observability.logs import log
from notifications.mail_reports.intake import BounceSettings, record
from notifications.mail_reports.mailbox import Mailbox
from notifications.mail_reports.returned_mail import read_returned_mail


async def look(mailbox: Mailbox, secrets: tuple[str | None, ...], mesh: Mesh, settings: BounceSettings) -> int:
    """Take what waits, and return how many reports were new. Raises OSError, IMAP4.error, Unavailable."""
    stored, waiting = 0, mailbox.waiting()
    while found := await asyncio.to_thread(next, waiting, None):
        name, raw = found
        returned = await asyncio.to_thread(read_returned_mail, raw, secrets)
        for report in returned.reports:
            stored += await record(report, mesh, settings) == "stored"
        if not returned.understood:
            log.warning("a mail came back that is no report about a mail of ours: it is kept in the mailbox for people")
        await asyncio.to_thread(mailbox.done, name, was_report=returned.understood)
    return stored
