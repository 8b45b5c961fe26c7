"""Ledger: one row for every event that was sent and every offer that was due, with what became of it."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from mesh.event import declaration_of
from services.demo.replay.evidence import Evidence
from services.demo.replay.offers import Abandonment, abandonments
from services.demo.replay.report import doubled, lost, sent_id


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger's row.

    `outcome` of an event: stored, doubled, lost, rejected, unanswered (not stored) or unacknowledged
    (stored, but the answer never came). Of an offer: undecided, held, dropped, open, sent, shown,
    withdrawn, failed; or wrong or duplicate where a promise was broken. `occurred_at` is when an
    event was stored or an offer's first mail accepted; `due` when the cart's timer was.
    """

    id: str
    what: str
    region: str
    outcome: str
    visitor_id: str
    sent_at: datetime | None = None
    attempts: int | None = None
    stream: str | None = None
    sequence: int | None = None
    occurred_at: datetime | None = None
    cart_id: str | None = None
    due: datetime | None = None
    decided_at: datetime | None = None
    mails: int | None = None
    due_to_smtp_ms: float | None = None
    reason: str | None = None


def entries(evidence: Evidence) -> Iterator[Entry]:
    """The ledger's rows: events in the order they were sent, then offers."""
    yield from _events(evidence)
    for abandonment in abandonments(evidence):
        yield _offer(abandonment)


def write(evidence: Evidence, path: Path) -> int:
    """Write the ledger as Parquet (zstd); how many rows it has."""
    import polars as pl  # noqa: PLC0415  heavy, and only needed when a ledger is wanted

    instant, types = pl.Datetime("us", "UTC"), {str: pl.String, int: pl.Int64, float: pl.Float64}
    schema: dict[str, Any] = {}
    for field in msgspec.structs.fields(Entry):
        kind = next(one for one in getattr(field.type, "__args__", (field.type,)) if one is not type(None))
        schema[field.name] = instant if kind is datetime else types[kind]
    rows = [msgspec.structs.asdict(entry) for entry in entries(evidence)]
    pl.DataFrame(rows, schema=schema).write_parquet(path, compression="zstd")
    return len(rows)


def _events(evidence: Evidence) -> Iterator[Entry]:
    where = {(happened.region, sent_id(happened)): happened for happened in reversed(evidence.stored)}
    gone, twice = lost(evidence), doubled(evidence.stored)
    for sent in evidence.sent:
        found = where.get((sent.region, sent.id))
        if sent.answer == "rejected":
            outcome = "rejected"
        elif sent.id in gone:
            outcome = "lost"
        elif sent.answer == "unanswered":
            outcome = "unacknowledged" if found else "unanswered"
        else:
            outcome = "doubled" if found and found.id in twice else "stored"
        yield Entry(
            id=sent.id,
            what=sent.type,
            region=sent.region,
            outcome=outcome,
            visitor_id=sent.visitor_id,
            sent_at=sent.sent_at,
            attempts=sent.attempts,
            stream=evidence.layout.stream_of(declaration_of(type(found.event)), found.region) if found else None,
            sequence=found.sequence if found else None,
            occurred_at=found.stored if found else None,
            reason=sent.reason,
        )


def _offer(abandonment: Abandonment) -> Entry:
    left, decided, took = abandonment.abandoned.event, abandonment.decided, abandonment.due_to_smtp
    return Entry(
        id=abandonment.offer_id or abandonment.abandoned.id,
        what="offer",
        region=abandonment.region,
        outcome="wrong" if abandonment.wrong else "duplicate" if len(abandonment.mails) > 1 else abandonment.outcome,
        visitor_id=left.visitor_id,
        cart_id=left.cart_id,
        due=left.due,
        decided_at=decided.stored if decided else None,
        mails=len(abandonment.mails),
        occurred_at=min((mail.accepted_at for mail in abandonment.mails), default=None),
        due_to_smtp_ms=took.total_seconds() * 1000 if took is not None else None,
        reason=decided.event.reason if decided else None,
    )
