"""Orders: which of the reported orders count as purchases, for who learns from them.

Anybody can report an order with the key in a shop's pages. Where the shop's server confirms orders, those count that it
confirmed or reported itself; where it confirms none, every report does, as there is nothing better.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mesh import Mesh, Received
from mesh.accept import SERVER
from mesh.events.order import OrderConfirmed, OrderPlaced
from mesh.streams import mesh_stream

MOST_DELAYED = 0.95
"""Confirmations that are slower than this share of all are not waited for."""


@dataclass(kw_only=True)
class _Report:
    """What was reported of one order and visitor: first of all when (`at`), and when that was stored."""

    at: datetime
    stored: datetime
    cart_id: str | None
    customer_id: str | None
    by_server: bool


class Orders:
    """Reports and confirmations of orders, in any order of arrival; the same again changes nothing."""

    def __init__(self) -> None:
        self._reports: dict[str, dict[str, _Report]] = {}
        self._confirmed: dict[str, Received[OrderConfirmed]] = {}
        self._first: datetime | None = None

    def learn(self, received: Received[OrderPlaced] | Received[OrderConfirmed]) -> None:
        """Take in a report or a confirmation."""
        order = received.event
        if isinstance(order, OrderConfirmed):
            self._confirmed.setdefault(order.order_id, received)
            self._first = min(self._first or received.stored, received.stored)
            return
        reports = self._reports.setdefault(order.order_id, {})
        report = reports.get(order.visitor_id)
        if report is None:
            reports[order.visitor_id] = _Report(
                at=received.time,
                stored=received.stored,
                cart_id=order.cart_id,
                customer_id=order.customer_id,
                by_server=order.by == SERVER,
            )
            return
        report.at, report.stored = min(report.at, received.time), min(report.stored, received.stored)
        report.by_server |= order.by == SERVER
        report.cart_id, report.customer_id = report.cart_id or order.cart_id, report.customer_id or order.customer_id

    def counts(self, visitor: str, order_id: str, *, cart_id: str | None = None) -> bool:
        """Whether this visitor bought this order; or, where the confirmation names a cart, whether `cart_id` is that.

        Before the first confirmation reports count, by when they were stored: a page can give an order any time.
        """
        if self._first is None:
            return True
        report, confirmed = self._reports.get(order_id, {}).get(visitor), self._confirmed.get(order_id)
        if confirmed is not None and cart_id is not None and confirmed.event.cart_id == cart_id:
            return True
        if report is None:
            return False
        if confirmed is None:
            return report.by_server or report.stored < self._first
        return self._is_buyer(visitor, report, confirmed.event)

    def _is_buyer(self, visitor: str, report: _Report, confirmed: OrderConfirmed) -> bool:
        """Whether the visitor of a report is whom the shop means; where it names nobody, the only one who reported."""
        if confirmed.visitor_id is not None:
            return confirmed.visitor_id == visitor
        if confirmed.cart_id is not None:
            return confirmed.cart_id == report.cart_id
        if confirmed.customer_id is not None:
            return confirmed.customer_id == report.customer_id
        return len(self._reports[confirmed.order_id]) == 1

    def known_until(self) -> datetime | None:
        """Until when it is known who bought; None where the shop confirms no orders, and reports are all there is.

        What was ordered after the newest confirmation may be confirmed yet. So a shop whose confirmations stop does
        not teach that nobody buys any more; and as confirmations take their time, that time is taken off.
        """
        if self._first is None:
            return None
        delays = sorted(
            max(confirmed.time - report.at, timedelta(0))
            for order_id, confirmed in self._confirmed.items()
            for visitor, report in self._reports.get(order_id, {}).items()
            if self.counts(visitor, order_id)
        )
        delay = delays[int(MOST_DELAYED * (len(delays) - 1))] if delays else timedelta(0)
        return max(confirmed.time for confirmed in self._confirmed.values()) - delay


async def read_orders(mesh: Mesh) -> Orders:
    """The orders that were reported in this region, with the confirmations of every region.

    A shop's server may confirm in another region than the one its shopper's page reports to.
    """
    from mesh.lake.reading import read_history  # noqa: PLC0415  brings polars, which scoring does not need

    orders = Orders()
    async for received in read_history(mesh, OrderPlaced, OrderConfirmed):
        orders.learn(received)
    async for received in mesh.read(OrderConfirmed, stream=mesh_stream(mesh.region)):
        orders.learn(received)
    return orders
