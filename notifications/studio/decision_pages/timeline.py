"""Timeline: everything that happened to one cart and its offers, and what each journey came to."""

from collections.abc import Iterable, Sequence

import msgspec

from mesh import Received
from mesh.events.cart import CartIdle
from mesh.events.offer import OfferClaimed, OfferDecided, OfferOpened, OfferRequested
from notifications.cart_timeline import is_message
from notifications.studio.decision_pages.entry import Entry, entry_of


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a step of a journey came to: its newest decision, and what happened to that offer last, if anything did."""

    decision: Entry
    after: Entry | None = None
    mail: str = ""
    """The offer, where its mail or another message was sent, by this channel."""
    channel: str = ""


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
    messages = {
        one.event.offer_id: one.event.channel
        for one in sorted(filter(is_message, history), key=lambda one: one.event.channel, reverse=True)
    }
    return [
        Verdict(
            decision=entry_of(one),
            after=_after(one, history),
            mail=one.event.offer_id if one.event.offer_id in messages else "",
            channel=messages.get(one.event.offer_id, ""),
        )
        for one in newest.values()
    ]


def _after(decided: Received[OfferDecided], history: Sequence[Received]) -> Entry | None:
    """The last of what happened to an offer; that it is about to be sent, or its mail was opened, is no news."""
    of_offer = [one for one in history if getattr(one.event, "offer_id", None) == decided.event.offer_id]
    later = of_offer[of_offer.index(decided) + 1 :]
    outcomes = [one for one in later if not isinstance(one.event, OfferClaimed | OfferRequested | OfferOpened)]
    return entry_of(outcomes[-1]) if outcomes else None
