"""Sender rates: how many mails went to which domain on which day, and how many of them came back or were complained of.

An event may come twice, and a bounce before the mail that it is about. So each mail has a record, which is folded
first, and what that changes of its contribution is added to the figures of its day, in one atomic batch: the figures
are at any time the sum over all records, and a rebuild comes to the same.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from hashlib import blake2b

import msgspec

from mesh import Bucket, Mesh, Received
from mesh.envelope import derive_id
from mesh.errors import Conflict, InvalidKey, Unavailable
from mesh.events.mail import MailAdvanced, MailBounced, MailComplained
from mesh.events.offer import OfferSent
from mesh.subjects import token

KINDS = (OfferSent, MailAdvanced, MailBounced, MailComplained)
DAYS = 7
"""How many days the rates are of."""
TRIES, AT_ONCE, PARTS = 20, 200, 16
Counts = dict[str, int]


class MailRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one mail; `day` is that of its sending, or else of the first report about it."""

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
    def counts(self) -> Counts:
        """What it adds to the figures of its day and domain."""
        known = {"sent": self.sent is not None, "hard": self.hard, "soft": self.soft, "complained": self.complained}
        return {name: 1 for name, true in known.items() if true}


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value of the bucket: the record of one mail, or the figures of some domains on a day of a region."""

    mail: MailRecord | None = None
    domains: dict[str, Counts] | None = None


RATES: Bucket[Kept] = Bucket("sender-rates", Kept, ttl=timedelta(days=40), rebuilt=True)


def folded(before: MailRecord, received: Received) -> MailRecord:
    """The record after an event; neither order nor repetition of events makes a difference."""
    day = received.stored.date()
    match received.event:
        case OfferSent(channel="email", domain=domain) | MailAdvanced(outcome="sent", domain=domain) if domain:
            sent = min(day, before.sent) if before.sent else day
            return msgspec.structs.replace(before, sent=sent, domain=domain)
        case MailBounced(domain=domain, hard=hard):
            known = msgspec.structs.replace(before, hard=before.hard or hard, soft=before.soft or not hard)
        case MailComplained(domain=domain):
            known = msgspec.structs.replace(before, complained=True)
        case _:
            return before
    reported = min(day, before.reported) if before.reported else day
    return msgspec.structs.replace(known, reported=reported, domain=before.domain or domain)


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


def day_key(region: str, day: date, part: int) -> str:
    """Where the figures of a day and a part of the domains are."""
    return f"day-{region}-{day.isoformat()}-{part:x}"


def part_of(domain: str) -> int:
    """Which part of the domains one is in: a day of a large sender has tens of thousands."""
    return blake2b(domain.encode(), digest_size=1).digest()[0] % PARTS


class RatesWriter:
    """Writes the bucket."""

    def __init__(self, mesh: Mesh) -> None:
        self._state, self._one_at_a_time = mesh.state(RATES), asyncio.Lock()

    async def apply(self, events: Iterable[Received]) -> None:
        """Count events, whatever of them was counted before. Raises Unavailable."""
        by_mail: dict[tuple[str, str], list[Received]] = defaultdict(list)
        for received in events:
            if key := mail_key(received):
                by_mail[received.region, key].append(received)
        keys = list(by_mail)
        async with self._one_at_a_time:
            for at in range(0, len(keys), AT_ONCE):
                await self._apply({key: by_mail[key] for key in keys[at : at + AT_ONCE]})

    async def _apply(self, by_mail: dict[tuple[str, str], list[Received]]) -> None:
        for turn in range(TRIES):
            puts = await self._changed(by_mail)
            try:
                await self._state.put_all(puts)
            except Conflict:
                await asyncio.sleep(random.uniform(0, 0.005 * (turn + 1)))  # noqa: S311  jitter, not a secret
            else:
                return
        raise Unavailable(f"bucket {RATES.name}: written by others {TRIES} times in a row")

    async def _changed(self, by_mail: dict[tuple[str, str], list[Received]]) -> dict[str, tuple[Kept, int]]:
        puts: dict[str, tuple[Kept, int]] = {}
        changes: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for (region, key), events in by_mail.items():
            kept, revision = await self._state.entry(key)
            before = after = kept.mail if kept and kept.mail else MailRecord()
            for received in events:
                after = folded(after, received)
            if after == before:
                continue
            puts[key] = Kept(mail=after), revision
            for record, sign in ((before, -1), (after, 1)):
                if record.day is not None:
                    counted = changes[day_key(region, record.day, part_of(record.domain))][record.domain]
                    for name, count in record.counts.items():
                        counted[name] += sign * count
        for key, domains in changes.items():
            kept, revision = await self._state.entry(key)
            puts[key] = Kept(domains=_added(kept.domains or {} if kept else {}, domains)), revision
        return puts


async def read_rates(mesh: Mesh, *, today: date, region: str | None = None, days: int = DAYS) -> dict[str, Counts]:
    """The figures of the last days up to today (UTC) in a region, by domain. Raises Unavailable."""
    wanted = [today - timedelta(days=back) for back in range(days)]
    keys = [day_key(region or mesh.region, day, part) for day in wanted for part in range(PARTS)]
    total: dict[str, Counter[str]] = defaultdict(Counter)
    for kept, _ in (await mesh.state(RATES).entries(keys)).values():
        for domain, counts in (kept.domains or {}).items() if kept else ():
            total[domain].update(counts)
    return {domain: dict(counts) for domain, counts in total.items() if any(counts.values())}


def _added(before: dict[str, Counts], changes: dict[str, Counter[str]]) -> dict[str, Counts]:
    """Sorted, and without what is zero, so that equal figures are equal bytes."""
    after = dict(before)
    for domain, change in changes.items():
        counted = Counter(before.get(domain, {}))
        counted.update(change)
        after[domain] = {name: counted[name] for name in sorted(counted) if counted[name]}
    return {domain: after[domain] for domain in sorted(after) if after[domain]}
