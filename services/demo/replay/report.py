"""Report: a run in figures, each with an exact definition, counted from the evidence alone.

events_published    ids that storefronts sent, whatever was answered
events_acked        of those, ids that a gateway answered with 202 and did not list as rejected
events_rejected     of those, ids that a gateway refused
events_lost         acknowledged ids that stand in no write stream of the region they were sent to
events_doubled      ids of one event type that stand more than once in a region's write streams
carts_abandoned     CartAbandoned events
decisions           abandonments with at least one OfferDecided
undecided           abandonments without one (0 once everything has settled)
offers_sent         offers of which the SMTP server accepted at least one mail, by its own record
offers_held         runs (a journey and an abandonment) whose newest decision is held
offers_dropped      runs whose newest decision is dropped
offers_withdrawn    approved, then withdrawn before sending because the shopper bought
offers_failed       approved, refused for good by the channel
offers_unseen       approved for the site alone, and its shopper has opened no page since
offers_open         approved, but without any outcome (0 once everything has settled)
wrong_sends         mails for a cart whose purchase stood in the deciding region's streams before its
                    OfferDecided: a CartConverted, CartClosed or OrderPlaced of the cart, its visitor or
                    its customer, behind the cart's last update and before the decision by sequence in
                    the region's own commerce stream; or another region's OrderPlaced by its arrival in MESH_<r>
late_sends          mails accepted after such a purchase that came behind the decision: the unavoidable
                    rest, while a mail is already on its way
duplicate_sends     mails beyond the first that the SMTP server accepted for one offer
strange_mails       mails for an offer that no stream knows
recovered           CartRecovered events: orders that followed an offer
dead_letters        messages in any DEAD_<r>
region_cut          the region that was cut off: `seconds` cut, `orders_during` OrderPlaced that it stored
                    meanwhile, `caught_up_s` from the heal until every event of before the heal stood in
                    every other region's MESH (None: never); over the whole run and all pairs, `lost` =
                    events of COMMERCE that are missing in another region's MESH, `duplicated` = ids that
                    stand there more than once
latency_ms          due_to_smtp: from the cart timer's due time to the SMTP server's acceptance of the
                    first mail (left out: held offers, and those due while something was killed);
                    event_to_score: from the storing of the newest event that a UserScored has seen to
                    the storing of that UserScored (left out: events sent more than a minute after they
                    happened, and those stored while something was killed); cross_region: from the
                    storing in the origin's commerce stream to the storing in another region's MESH, events stored
                    while a region was cut off left out. Nearest-rank percentiles.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from mesh import Event, Received
from mesh.event import declaration_of
from mesh.events.cart import CartRecovered
from mesh.events.order import OrderPlaced
from mesh.events.user import UserScored
from mesh.streams import StreamLayout
from services.demo.replay.evidence import Cut, Evidence
from services.demo.replay.offers import Abandonment, abandonments

OLD = timedelta(minutes=1)
"""What is sent later than this after it happened is history: nobody waits for its score."""


def report(evidence: Evidence) -> dict[str, Any]:
    """The figures defined in this module's docstring."""
    left = abandonments(evidence)
    outcomes = Counter(abandonment.outcome for abandonment in left)
    acked = {sent.id for sent in evidence.sent if sent.answer == "accepted"}
    known = {abandonment.offer_id for abandonment in left}
    return {
        "regions": len(evidence.regions),
        "nodes": evidence.nodes,
        "events_published": len({sent.id for sent in evidence.sent}),
        "events_acked": len(acked),
        "events_rejected": sum(sent.answer == "rejected" for sent in evidence.sent),
        "events_lost": len(lost(evidence)),
        "events_doubled": len(doubled(evidence.stored)),
        "carts_abandoned": len({abandonment.abandoned.id for abandonment in left}),
        "decisions": len({abandonment.abandoned.id for abandonment in left if abandonment.decided}),
        "undecided": outcomes["undecided"],
        "offers_sent": outcomes["sent"],
        "offers_shown": outcomes["shown"],
        "offers_held": outcomes["held"],
        "offers_dropped": outcomes["dropped"],
        "offers_withdrawn": outcomes["withdrawn"],
        "offers_failed": outcomes["failed"],
        "offers_unseen": outcomes["unseen"],
        "offers_open": outcomes["open"],
        "wrong_sends": sum(len(abandonment.mails) for abandonment in left if abandonment.wrong),
        "late_sends": _late(left, evidence),
        "duplicate_sends": sum(max(0, len(abandonment.mails) - 1) for abandonment in left),
        "strange_mails": sum(mail.offer_id not in known for mail in evidence.mails if mail.offer_id),
        "recovered": sum(isinstance(happened.event, CartRecovered) for happened in evidence.stored),
        "dead_letters": evidence.dead,
        "region_cut": _region_cut(evidence),
        "latency_ms": {
            "due_to_smtp": percentiles(one.due_to_smtp for one in left if not _troubled(one, evidence)),
            "event_to_score": percentiles(_event_to_score(evidence)),
            "cross_region": percentiles(_cross_region(evidence)),
        },
    }


def lost(evidence: Evidence) -> set[str]:
    """Ids that were acknowledged and stand in no write stream of the region they were sent to."""
    there = {(happened.region, sent_id(happened)) for happened in evidence.stored}
    return {s.id for s in evidence.sent if s.answer == "accepted" and (s.region, s.id) not in there}


def sent_id(happened: Received[Event]) -> str:
    """The id that a storefront gave an event: the gateway puts the scope of its write key before it, with a `-`."""
    scope, dash, own = happened.id.partition("-")
    return own if dash and len(scope) == 8 else happened.id  # a scope is 8 hexadecimal digits


def doubled(stored: Iterable[Received[Event]]) -> set[str]:
    """Ids that one event type has more than once in one region."""
    counted = Counter((happened.region, type(happened.event), happened.id) for happened in stored)
    return {id_ for (_, _, id_), count in counted.items() if count > 1}


def missing_copies(evidence: Evidence, *, until: datetime | None = None) -> set[tuple[str, str]]:
    """(region, id) of events of the commerce stream, stored up to `until`, that another region's MESH does not hold."""
    held = {region: {happened.id for happened in copies} for region, copies in evidence.copies.items()}
    return {
        (region, happened.id)
        for happened in evidence.stored
        if _crosses(happened, evidence.layout) and (until is None or happened.stored <= until)
        for region in evidence.regions
        if region != happened.region and happened.id not in held.get(region, ())
    }


def percentiles(spans: Iterable[timedelta | None]) -> dict[str, float | None]:
    """Nearest-rank p50 and p99 in milliseconds; None where nothing was measured."""
    found = sorted(span.total_seconds() * 1000 for span in spans if span is not None)
    return {"p50": rank(found, 0.50), "p99": rank(found, 0.99)}


def rank(ordered: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile of ordered values, to a tenth."""
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 1) if ordered else None


def broken(figures: dict[str, Any]) -> list[str]:
    """The promises that these figures break, as text; empty when all are kept."""
    never = {
        "events_lost": "acknowledged events were lost",
        "events_doubled": "events stand twice in a stream",
        "wrong_sends": "offers were sent after a purchase",
        "duplicate_sends": "offers were sent twice",
        "strange_mails": "mails were sent that no decision explains",
        "undecided": "abandoned carts have no decision",
        "offers_open": "approved offers have no outcome",
    }
    found = [f"{figures[name]} {words}" for name, words in never.items() if figures[name]]
    cut = figures["region_cut"]
    found += [f"{cut[name]} events {name} between regions" for name in ("lost", "duplicated") if cut[name]]
    return found


def _region_cut(evidence: Evidence) -> dict[str, Any]:
    cut = evidence.cut
    twice = sum(len(doubled(copies)) for copies in evidence.copies.values())
    return {
        "region": cut.region if cut else None,
        "seconds": round((cut.healed - cut.began).total_seconds(), 1) if cut else 0,
        "orders_during": sum(_during(cut, happened) for happened in evidence.stored) if cut else 0,
        "caught_up_s": round((cut.caught_up - cut.healed).total_seconds(), 2) if cut and cut.caught_up else None,
        "lost": len(missing_copies(evidence)),
        "duplicated": twice,
    }


def _during(cut: Cut, happened: Received[Event]) -> bool:
    return (
        isinstance(happened.event, OrderPlaced)
        and happened.region == cut.region
        and cut.began <= happened.stored <= cut.healed
    )


def _crosses(happened: Received[Event], layout: StreamLayout) -> bool:
    return layout.travels(declaration_of(type(happened.event)))


def _troubled(abandonment: Abandonment, evidence: Evidence) -> bool:
    due = abandonment.abandoned.event.due
    return any(began <= due <= ended for began, ended in evidence.trouble)


def _late(left: list[Abandonment], evidence: Evidence) -> int:
    """Mails accepted after an order of the visitor that was stored behind their decision."""
    orders: dict[str, list[datetime]] = defaultdict(list)
    for happened in evidence.stored:
        if isinstance(happened.event, OrderPlaced):
            orders[happened.event.visitor_id].append(happened.stored)
    count = 0
    for abandonment in left:
        if abandonment.decided is None or abandonment.wrong:
            continue
        behind = [at for at in orders[abandonment.abandoned.event.visitor_id] if at > abandonment.decided.stored]
        count += sum(mail.accepted_at > min(behind) for mail in abandonment.mails) if behind else 0
    return count


def _event_to_score(evidence: Evidence) -> Iterable[timedelta]:
    at = {
        happened.id: happened.stored
        for happened in evidence.stored
        if not isinstance(happened.event, UserScored) and happened.stored - happened.time < OLD
    }
    for happened in evidence.stored:
        born = at.get(happened.event.last_event_id) if isinstance(happened.event, UserScored) else None
        if born and not any(began <= born <= ended for began, ended in evidence.trouble):
            yield happened.stored - born


def _cross_region(evidence: Evidence) -> Iterable[timedelta]:
    at = {happened.id: happened.stored for happened in evidence.stored}
    cut = evidence.cut
    for copies in evidence.copies.values():
        for copy in copies:
            born = at.get(copy.id)
            if born is None or (cut and cut.began <= born <= (cut.caught_up or cut.healed)):
                continue
            yield copy.stored - born
