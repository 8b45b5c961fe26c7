"""Timeline: everything that happened to one cart and its offers, and what each journey came to."""

from collections.abc import Iterable, Sequence

import msgspec

from mesh import Mesh, Received
from mesh.channels import EMAIL
from mesh.events.cart import CartIdle
from mesh.events.offer import OfferClaimed, OfferDecided, OfferRequested, OfferSent
from notifications.studio.decision_pages.entry import Entry, entry_of

DOMAINS = ("cart", "offer")
"""The domains whose events, under the cart's id, are its timeline. None of them is personal."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a step of a journey came to: its newest decision, and what happened to that offer last, if anything did."""

    decision: Entry
    after: Entry | None = None
    mail: str = ""
    """The offer, where its mail was sent."""


async def read_timeline(mesh: Mesh, cart_id: str) -> list[Received]:
    """The events of a cart in every region, as far as they are here, oldest first. Raises Unavailable, InvalidKey."""
    found = [*await mesh.history(cart_id, *DOMAINS)]
    for region in mesh.others:
        found += await mesh.history_elsewhere(region, cart_id, *DOMAINS)
    several = len({one.region for one in found}) > 1  # one region's are in the order of its log already
    return sorted(found, key=lambda one: one.event_time) if several else found


def entries(history: Iterable[Received]) -> list[Entry]:
    """The timeline of these events. A timer that merely went off is left out."""
    return [entry_of(one) for one in history if not isinstance(one.event, CartIdle)]


def verdicts(history: Sequence[Received]) -> list[Verdict]:
    """Of each step of each journey why there is an offer or none, and what became of it: those of the newest run."""
    newest: dict[tuple[str, str], Received[OfferDecided]] = {}
    runs: dict[str, str] = {}
    for one in history:
        if isinstance(one.event, OfferDecided):
            newest[one.event.journey, one.event.step] = one
            runs[one.event.journey] = one.event.abandonment_id
    newest = {key: one for key, one in newest.items() if runs[key[0]] == one.event.abandonment_id}
    mailed = {one.event.offer_id for one in history if is_mail(one)}
    return [
        Verdict(
            decision=entry_of(one),
            after=_after(one, history),
            mail=one.event.offer_id if one.event.offer_id in mailed else "",
        )
        for one in newest.values()
    ]


def is_mail(received: Received) -> bool:
    """Whether a mail was sent with this event."""
    return isinstance(received.event, OfferSent) and received.event.channel == EMAIL.name


def _after(decided: Received[OfferDecided], history: Sequence[Received]) -> Entry | None:
    """The last of what happened to an offer; that it is about to be sent is no news."""
    of_offer = [one for one in history if getattr(one.event, "offer_id", None) == decided.event.offer_id]
    later = of_offer[of_offer.index(decided) + 1 :]
    outcomes = [one for one in later if not isinstance(one.event, OfferClaimed | OfferRequested)]
    return entry_of(outcomes[-1]) if outcomes else None
