"""Sender rates: how many mails went to which domain on which day, and how many of them came back or were complained of.

A bounce may come before the mail that it is about, and twice. So each mail has a record, and the figures of a day are
the sum over all of them (`exact_sums.py`): a rebuild comes to the same.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from functools import reduce
from hashlib import blake2b

import msgspec

from mesh import Bucket, Mesh, Received
from mesh.envelope import derive_id
from mesh.errors import InvalidKey
from mesh.events.mail import MailAdvanced, MailBounced, MailComplained
from mesh.events.offer import OfferSent
from mesh.subjects import token
from notifications.exact_sums import Contributions, Figures, Sums, SumsWriter, day_key, read_sums

KINDS = (OfferSent, MailAdvanced, MailBounced, MailComplained)
DAYS = 7
"""How many days the rates are of."""
PARTS = 16


class MailRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one mail; `day` is that of its sending, or else of the first report about it."""

    region: str = ""
    sent: date | None = None
    reported: date | None = None
    domain: str = ""
    hard: bool = False
    soft: bool = False
    complained: bool = False

    @property
    def day(self) -> date | None:
        """The day under which it counts."""
        return self.sent or self.reported

    @property
    def counts(self) -> Figures:
        """What it adds to the figures of its day and domain."""
        known = {"sent": self.sent is not None, "hard": self.hard, "soft": self.soft, "complained": self.complained}
        return {name: 1 for name, true in known.items() if true}


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value of the bucket: the record of one mail, or the figures of some domains on a day of a region."""

    mail: MailRecord | None = None
    domains: dict[str, Figures] | None = None


MAILS: Bucket[Kept] = Bucket("mail-records", Kept, ttl=timedelta(days=40), rebuilt=True)
"""Every mail, and every day. Kept for longer than anything is told of it."""
RATES: Bucket[Sums] = Bucket("sender-days", Sums, ttl=timedelta(days=40), rebuilt=True)
"""Every day, for pages and pauses."""


def folded(before: MailRecord, received: Received) -> MailRecord:
    """The record after an event; neither order nor repetition of events makes a difference."""
    day = received.stored.date()
    match received.event:
        case OfferSent(channel="email", domain=domain) | MailAdvanced(outcome="sent", domain=domain) if domain:
            sent = min(day, before.sent) if before.sent else day
            return msgspec.structs.replace(before, region=received.region, sent=sent, domain=domain)
        case MailBounced(domain=domain, hard=hard):
            known = msgspec.structs.replace(before, hard=before.hard or hard, soft=before.soft or not hard)
        case MailComplained(domain=domain):
            known = msgspec.structs.replace(before, complained=True)
        case _:
            return before
    reported = min(day, before.reported) if before.reported else day
    if before.sent:  # where and to whom it was sent is known better by who sent it
        return msgspec.structs.replace(known, reported=reported)
    region = min(filter(None, (before.region, received.region)))
    domain = min(filter(None, (before.domain, domain)), default="")
    return msgspec.structs.replace(known, region=region, reported=reported, domain=domain)


def mail_key(received: Received) -> str | None:
    """Where the record of an event's mail is; of a report that names none one of its own."""
    match received.event:
        case OfferSent(channel="email", offer_id=named) | MailAdvanced(outcome="sent", mail_id=named):
            pass
        case MailBounced(mail=mail, report=report) | MailComplained(mail=mail, report=report):
            named = mail or f"report-{report}"
        case _:
            return None
    try:
        return f"mail-{token(named) if len(named) <= 100 else derive_id('mail', named)}"
    except InvalidKey:
        return f"mail-{derive_id('mail', named)}"


def part_of(domain: str) -> int:
    """Which part of the domains one is in: a day of a large sender has tens of thousands."""
    return blake2b(domain.encode(), digest_size=1).digest()[0] % PARTS


class SenderRates:
    """How mails are recorded and summed."""

    bucket, copy = MAILS, RATES

    def key(self, received: Received) -> str | None:
        """Where the mail's record is."""
        return mail_key(received)

    def fold(self, record: MailRecord | None, events: Iterable[Received]) -> MailRecord:
        """The record after these events."""
        return reduce(folded, events, record or MailRecord())

    def contributions(self, record: MailRecord) -> Contributions:
        """What a mail adds to its day."""
        if record.day is None:
            return {}
        key = f"{day_key(record.region, record.day)}-{part_of(record.domain):x}"
        return {key: {record.domain: record.counts}}

    def record(self, kept: Kept) -> MailRecord | None:
        """The record of a value."""
        return kept.mail

    def sums(self, kept: Kept) -> Mapping[str, Figures]:
        """The figures of a value, by domain."""
        return kept.domains or {}

    def keep_record(self, record: MailRecord) -> Kept:
        """A value that holds a record."""
        return Kept(mail=record)

    def keep_sums(self, sums: dict[str, Figures]) -> Kept:
        """A value that holds the figures of a day."""
        return Kept(domains=sums)


class RatesWriter(SumsWriter[MailRecord, Kept]):
    """Writes the figures."""

    def __init__(self, mesh: Mesh) -> None:
        super().__init__(mesh, SenderRates())


async def read_rates(mesh: Mesh, *, today: date, region: str | None = None, days: int = DAYS) -> dict[str, Figures]:
    """The figures of the last days up to today (UTC) in a region, by domain. Raises Unavailable."""
    wanted = [today - timedelta(days=back) for back in range(days)]
    keys = [f"{day_key(region or mesh.region, day)}-{part:x}" for day in wanted for part in range(PARTS)]
    total: dict[str, Counter[str]] = defaultdict(Counter)
    for domains in (await read_sums(mesh, RATES, keys)).values():
        for domain, counts in domains.items():
            total[domain].update(counts)
    return {domain: dict(counts) for domain, counts in total.items() if any(counts.values())}
