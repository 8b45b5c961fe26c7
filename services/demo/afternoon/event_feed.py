"""What happens in every region and in the inbox, line by line, for the timeline."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

from mesh import Event, Mesh, Received
from mesh.errors import InvalidEvent, MeshError
from mesh.event import declaration_of
from mesh.events.cart import CartAbandoned, CartClosed, CartRecovered
from mesh.events.offer import OfferDecided, OfferWithdrawn
from mesh.events.order import OrderCancelled, OrderPlaced
from mesh.events.payment import PaymentCaptured, PaymentFlagged
from mesh.mesh import received
from mesh.subjects import every
from services.demo.afternoon.timeline import Timeline
from services.demo.replay.collector import read_mails
from services.demo.replay.environment import Environment
from services.demo.replay.evidence import Mail

KINDS: tuple[type[Event], ...] = (
    CartAbandoned,
    CartClosed,
    CartRecovered,
    OfferDecided,
    OfferWithdrawn,
    OrderPlaced,
    OrderCancelled,
    PaymentCaptured,
    PaymentFlagged,
)
UNDONE = {
    "reserve": "sold out",
    "authorise": "the card was declined, its stock is released",
    "check": "flagged as fraud, its stock is released",
}
"""Why a checkout is undone, by the step that failed."""


class EventFeed:
    """Runs until cancelled. `offers` maps an offer to its region, visitor and the moment its cart was due."""

    def __init__(self, environment: Environment, timeline: Timeline) -> None:
        self.environment, self.timeline = environment, timeline
        self.offers: dict[str, tuple[str, str, datetime]] = {}
        self._due: dict[str, datetime] = {}
        self._buyers: dict[str, str] = {}
        self._shown: set[tuple[str, int]] = set()

    async def run(self) -> None:
        """Follow everything."""
        await asyncio.gather(*(self._follow(mesh) for mesh in self.environment.meshes.values()), self._read_inbox())

    async def _follow(self, mesh: Mesh) -> None:
        filters = tuple(every(declaration_of(kind), region=mesh.region) for kind in KINDS)
        following = await mesh.broker.follow(mesh.stream_of(OrderPlaced), filters, None)
        try:
            while True:
                with suppress(MeshError):
                    for message in await following.fetch(64, 1.0):
                        with suppress(InvalidEvent):
                            self._show_once(mesh.region, received(message))
        finally:
            await following.close()

    def _show_once(self, region: str, one: Received) -> None:
        """Show an event, unless it was: a follower whose server is lost begins a little earlier again."""
        place = (region, one.sequence)
        if place not in self._shown:
            self._shown.add(place)
            self._show(region, one.event)

    def _show(self, region: str, event: Event) -> None:
        timeline = self.timeline
        match event:
            case OrderPlaced(total=total, visitor_id=visitor, order_id=order):
                self._buyers[order] = visitor
                timeline.count(region, "orders")
                timeline.add(f"{visitor} orders for {total.decimal()} {total.currency}", region=region, style="cyan")
            case CartAbandoned(visitor_id=visitor, total=total, due=due, cart_id=cart):
                self._due[cart] = due
                timeline.count(region, "carts left")
                timeline.add(f"{visitor} left a cart of {total.decimal()} {total.currency}", region=region)
            case OfferDecided(outcome="approved", offer_id=offer, visitor_id=visitor, cart_id=cart, due=due):
                self.offers[offer] = (region, visitor, self._due.get(cart, due))
            case OfferDecided(outcome=outcome, visitor_id=visitor, reason=reason):
                timeline.count(region, "dropped" if outcome == "dropped" else "held")
                timeline.add(f"{visitor}: offer {outcome}, {reason}", region=region, style="yellow")
            case CartRecovered(visitor_id=visitor):
                timeline.count(region, "recovered")
                timeline.add(f"{visitor} came back with the offer", region=region, style="bold green")
            case CartClosed(visitor_id=visitor, region=where):
                timeline.add(f"{visitor} bought in {where}: the cart here is closed", region=region, style="magenta")
            case OfferWithdrawn(cart_id=cart):
                timeline.add(f"cart {cart}: bought meanwhile, offer withdrawn", region=region, style="magenta")
            case _:
                self._show_order(region, event)

    def _show_order(self, region: str, event: Event) -> None:
        match event:
            case PaymentCaptured(order_id=order, payment=payment):
                paid = payment.captured
                text, style = f"{self._buyer(order)} has paid {paid.decimal()} {paid.currency}", "bold green"
            case PaymentFlagged(order_id=order, reasons=reasons):
                text, style = f"{self._buyer(order)} is flagged: {'; '.join(reasons)}", "bold red"
            case OrderCancelled(order_id=order, reason=reason):
                why = UNDONE.get(reason.partition(":")[0], reason)
                text, style = f"{self._buyer(order)}'s order is cancelled: {why}", "yellow"
            case _:
                return
        self.timeline.add(text, region=region, style=style)

    def _buyer(self, order_id: str) -> str:
        return self._buyers.get(order_id, "somebody")

    async def _read_inbox(self) -> None:
        shown = len(read_mails(self.environment.record))
        while True:
            await asyncio.sleep(0.1)
            mails = read_mails(self.environment.record)
            while shown < len(mails) and self._is_explained(mails[shown]):
                mail, shown = mails[shown], shown + 1
                if not mail.offer_id:
                    self.timeline.add(f"{mail.recipient} has mail about an order", style="bold green")
                if mail.offer_id not in self.offers:
                    continue
                region, visitor, due = self.offers[mail.offer_id]
                took = (mail.accepted_at - due).total_seconds() * 1000
                self.timeline.count(region, "offers sent")
                self.timeline.add(
                    f"{visitor} has mail, {took:,.0f} ms after it was due", region=region, style="bold green"
                )

    def _is_explained(self, mail: Mail) -> bool:
        return not mail.offer_id or mail.offer_id in self.offers or _is_old(mail.accepted_at)


def _is_old(at: datetime) -> bool:
    return (datetime.now(UTC) - at).total_seconds() > 2
