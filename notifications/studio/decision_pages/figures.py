"""Figures: how many offers of each journey, day and region went which way, kept exact beside each offer's record."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

import msgspec

from mesh import Bucket, Mesh, Received
from mesh.envelope import derive_id
from mesh.errors import InvalidKey
from mesh.events.mail import MailComplained
from mesh.streams import mesh_stream
from mesh.subjects import token
from notifications import exact_sums
from notifications.exact_sums import Contributions, Figures, Sums, SumsWriter, day_key, month_key, read_sums
from notifications.studio.decision_pages.offer_record import KINDS, OF_STEPS, OfferRecord, figures_of, fold

DURABLE = "studio-count-offers-by-day"
"""Whose place in the streams says what is counted."""
LONGEST_ID = 100
MANY = 1_000
"""So many events that are not counted yet are worth a word; fewer are counted while somebody reads it."""
EVERY = ""
"""The group in which the offers of all journeys are counted together, without what is counted of steps."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value of the bucket: the record of one offer, or the figures of one region and day, by journey."""

    offer: OfferRecord | None = None
    day: dict[str, Figures] | None = None


OFFERS: Bucket[Kept] = Bucket("offer-records", Kept, ttl=timedelta(days=400), rebuilt=True)
"""Every offer of the mesh, and every day. Kept as long as the events."""
OFFER_DAYS: Bucket[Sums] = Bucket("offer-days", Sums, ttl=timedelta(days=400), rebuilt=True)
"""Every day and every month, for pages."""


class OfferFigures:
    """How offers are recorded and summed."""

    bucket, copy = OFFERS, OFFER_DAYS

    def key(self, received: Received) -> str | None:
        """Where the offer's record is; None for a complaint about another mail, or one that is not known."""
        event = received.event
        offer = event.mail if isinstance(event, MailComplained) else event.offer_id
        return offer_key(offer) if offer else None

    def fold(self, record: OfferRecord | None, events: Iterable[Received]) -> OfferRecord:
        """The record after these events."""
        return fold(record, events)

    def contributions(self, record: OfferRecord) -> Contributions:
        """What an offer adds to its day and its month, once its decision has arrived."""
        if record.day is None:
            return {}
        figures = figures_of(record)
        whole = {name: count for name, count in figures.items() if not name.startswith(OF_STEPS)}
        both = {record.journey: figures, EVERY: whole}
        return {key(record.region, record.day): both for key in (day_key, month_key)}

    def record(self, kept: Kept) -> OfferRecord | None:
        """The record of a value."""
        return kept.offer

    def sums(self, kept: Kept) -> Mapping[str, Figures]:
        """The figures of a value, by journey."""
        return kept.day or {}

    def keep_record(self, record: OfferRecord) -> Kept:
        """A value that holds a record."""
        return Kept(offer=record)

    def keep_sums(self, sums: dict[str, Figures]) -> Kept:
        """A value that holds the figures of a day."""
        return Kept(day=sums)


class FiguresWriter(SumsWriter[OfferRecord, Kept]):
    """Writes the figures."""

    def __init__(self, mesh: Mesh) -> None:
        super().__init__(mesh, OfferFigures())


def offer_key(offer_id: str) -> str:
    """Where an offer's record is. Clicks are reported by browsers, so an id may be any text."""
    try:
        name = token(offer_id) if len(offer_id) <= LONGEST_ID else derive_id("offer", offer_id)
    except InvalidKey:
        name = derive_id("offer", offer_id)
    return f"offer-{name}"


async def read_days(
    mesh: Mesh, regions: Iterable[str], days: Iterable[date]
) -> dict[tuple[str, date], dict[str, Figures]]:
    """The figures of these regions and days, by journey and of `EVERY` one. Without those that have none.

    Raises Unavailable.
    """
    return await exact_sums.read_days(mesh, OFFER_DAYS, regions, days)


async def read_months(
    mesh: Mesh, regions: Iterable[str], months: Iterable[date]
) -> dict[tuple[str, date], dict[str, Figures]]:
    """As `read_days`, of whole months, each by its first day. Raises Unavailable."""
    keys = {month_key(region, month): (region, month) for month in months for region in regions}
    return {keys[key]: groups for key, groups in (await read_sums(mesh, OFFER_DAYS, keys)).items()}


async def read_waiting(mesh: Mesh) -> int:
    """How many stored events are not counted yet, as after a rebuild was begun. Raises Unavailable."""
    streams = {mesh.stream_of(kind) for kind in KINDS} | ({mesh_stream(mesh.region)} if mesh.others else set())
    found = await asyncio.gather(*(mesh.broker.consumer_states(stream, [DURABLE]) for stream in sorted(streams)))
    return sum(state.pending + state.ack_pending for states in found for state in states.values())


async def read_behind(mesh: Mesh) -> int:
    """How many events are to be counted before the figures are whole; 0 for few. Raises Unavailable."""
    waiting = await read_waiting(mesh)
    return waiting if waiting > MANY else 0


async def read_offer(mesh: Mesh, offer_id: str) -> OfferRecord | None:
    """The record of an offer, or None."""
    kept = await mesh.state(OFFERS).get(offer_key(offer_id))
    return kept.offer if kept else None
