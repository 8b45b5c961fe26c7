"""Buyers: send the orders of a plan over HTTP, each again under its Idempotency-Key until it is answered."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from services.demo.bench.http_client import HttpClient
from services.demo.flash_sale.plan import Plan, Purchase

ATTEMPT_PATIENCE, ORDER_PATIENCE = 15.0, 240.0
"""Seconds after which one attempt is given up, and after which the order is."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
ADDRESS = {"name": "Ada", "postal_code": "10115", "city": "Berlin", "country": "DE"}


@dataclass(frozen=True)
class Refusal:
    """The shop's answer that it does not take an order."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Placed:
    """How the shop answered a purchase: `order_id` where it took the order, else `refused` says why not.

    `seconds` is from the first attempt to the answer.
    """

    purchase: Purchase
    seconds: float
    attempts: int
    order_id: str | None = None
    refused: str | None = None


class Buyers:
    """Clients by region; `placed` grows with each answer."""

    def __init__(self, clients: Mapping[str, HttpClient], plan: Plan) -> None:
        self._clients, self._plan = clients, plan
        self.placed: list[Placed] = []

    async def order_all(self, purchases: Sequence[Purchase], report: Callable[[int], None] = lambda _: None) -> None:
        """Send every purchase; returns when all are answered or given up."""
        if self._plan.rate:
            await self._at_rate(purchases, report)
        else:
            waiting = iter(purchases)
            places = self._plan.at_once * len(self._plan.regions)
            await asyncio.gather(*(self._one_by_one(waiting, report) for _ in range(places)))

    async def _at_rate(self, purchases: Sequence[Purchase], report: Callable[[int], None]) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        async with asyncio.TaskGroup() as sending:
            for number, purchase in enumerate(purchases):
                await asyncio.sleep(max(0.0, began + number / self._plan.rate - clock()))
                sending.create_task(self._order(purchase, report))

    async def _one_by_one(self, waiting: Iterator[Purchase], report: Callable[[int], None]) -> None:
        for purchase in waiting:
            await self._order(purchase, report)

    async def _order(self, purchase: Purchase, report: Callable[[int], None]) -> None:
        clock = asyncio.get_running_loop().time
        began, attempts = clock(), 0
        outcome: str | Refusal | None = None
        while outcome is None and clock() < began + ORDER_PATIENCE:
            await asyncio.sleep(min(_FIRST_PAUSE * 2**attempts, _LONGEST_PAUSE) if attempts else 0)
            attempts += 1
            outcome = await self._attempt(purchase)
        placed = Placed(
            purchase=purchase,
            seconds=clock() - began,
            attempts=attempts,
            order_id=outcome if isinstance(outcome, str) else None,
            refused=outcome.reason if isinstance(outcome, Refusal) else None if outcome else "no answer in time",
        )
        self.placed.append(placed)
        report(len(self.placed))

    async def _attempt(self, purchase: Purchase) -> "str | Refusal | None":
        """The order's id, or why it is refused; None where it is to be sent again."""
        client, headers = self._clients[purchase.region], f"Idempotency-Key: {purchase.reference}\r\n"
        try:
            answer = await asyncio.wait_for(client.post("/v1/orders", body_of(purchase), headers), ATTEMPT_PATIENCE)
        except (OSError, EOFError, TimeoutError):
            return None
        if answer.status in (HTTPStatus.OK, HTTPStatus.CREATED):
            order_id: str = msgspec.json.decode(answer.body)["order"]["order_id"]
            return order_id
        if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return Refusal(f"{answer.status} {answer.body.decode(errors='replace')[:300]}")
        return None


def body_of(purchase: Purchase) -> bytes:
    """The body of `POST /v1/orders`."""
    address = ADDRESS | {"street": f"{purchase.buyer} 1"}  # many orders to one address look like fraud
    email = {"email": purchase.email} if purchase.email else {}
    billing = {"billing": address | {"country": purchase.billing_country}} if purchase.billing_country else {}
    return msgspec.json.encode(
        {
            "lines": [{"product_id": sku, "quantity": count} for sku, count in purchase.lines.items()],
            "visitor_id": purchase.buyer,
            "customer_id": purchase.buyer,
            "payment_method": purchase.card,
            "reference": purchase.reference,
            "address": address | email,
            **billing,
        }
    )
