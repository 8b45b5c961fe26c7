"""A storefront: turns what shoppers do, row by row, into the events that its script would send."""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

from services.demo.replay.shop_log import Row

Payload = dict[str, Any]


def home_of(user_id: str, regions: tuple[str, ...]) -> str:
    """The region a shopper lives in: the same for the same id, however often and wherever it is asked."""
    digest = blake2b(user_id.encode(), digest_size=8).digest()
    return regions[int.from_bytes(digest) % len(regions)]


@dataclass
class Storefront:
    """All shoppers' browsers together. `run` makes ids unique to one run; `identify` sends who visitors are."""

    run: str
    currency: str = "USD"
    identify: bool = True
    carts: dict[str, dict[str, Payload]] = field(default_factory=dict)
    """Session -> product -> line."""
    known: set[str] = field(default_factory=set)
    ordered: dict[str, set[str]] = field(default_factory=dict)
    """Session -> products of its last order whose own purchase rows are still to come."""

    def events(self, row: Row, at: datetime) -> list[Payload]:
        """What is sent for a row, in order. The same rows give the same ids within a run."""
        payloads = self._introduce(row, at) if row.kind != "view" else []
        match row.kind:
            case "view":
                payloads.append(self._viewed(row, at))
            case "cart":
                payloads.append(self._filled(row, at))
            case "remove_from_cart":
                payloads += self._removed(row, at)
            case "purchase":
                payloads += self._ordered(row, at)
        return payloads

    def _event(self, row: Row, type_: str, at: datetime, /, **fields: Any) -> Payload:
        event = {
            "id": f"{self.run}-{row.number}-{type_}",
            "type": type_,
            "time": at.isoformat(),
            "visitor_id": row.user_id,
            **fields,
        }
        return {name: value for name, value in event.items() if value is not None}

    def _introduce(self, row: Row, at: datetime) -> list[Payload]:
        if not self.identify or row.user_id in self.known:
            return []
        self.known.add(row.user_id)
        return [
            self._event(
                row,
                "customer_identified",
                at,
                email=f"{row.user_id.lower()}@example.test",
                customer_id=self._customer(row),
                locale=row.locale,
                time_zone=row.time_zone,
            ),
            self._event(row, "consent_changed", at, channel="email", granted=True),
        ]

    def _viewed(self, row: Row, at: datetime) -> Payload:
        return self._event(
            row,
            "product_viewed",
            at,
            product_id=row.product_id,
            session_id=row.session_id,
            category=row.category,
            brand=row.brand,
            price=None if row.price is None else self._money(row.price),
            device=row.device,
        )

    def _filled(self, row: Row, at: datetime) -> Payload:
        cart = self.carts.setdefault(row.session_id, {})
        before = cart.get(row.product_id)
        cart[row.product_id] = self._line(row, 1 if before is None else before["quantity"] + 1)
        return self._cart(row, at)

    def _removed(self, row: Row, at: datetime) -> list[Payload]:
        if self.carts.get(row.session_id, {}).pop(row.product_id, None) is None:
            return []
        return [self._cart(row, at)]

    def _cart(self, row: Row, at: datetime) -> Payload:
        lines = list(self.carts[row.session_id].values())
        return self._event(
            row,
            "cart_updated",
            at,
            cart_id=row.session_id,
            session_id=row.session_id,
            customer_id=self._customer(row),
            lines=lines,
            device=row.device,
        )

    def _ordered(self, row: Row, at: datetime) -> list[Payload]:
        """One order for the whole cart; a log has a purchase row for each product of it."""
        if row.product_id in self.ordered.get(row.session_id, ()):
            self.ordered[row.session_id].remove(row.product_id)
            return []
        cart = self.carts.pop(row.session_id, None)
        lines = list(cart.values()) if cart else [self._line(row, 1)]
        self.ordered[row.session_id] = {*(cart or {})} - {row.product_id}
        order = self._event(
            row,
            "order_confirmed",
            at,
            order_id=f"{self.run}-order-{row.number}",
            cart_id=row.session_id if cart else None,
            session_id=row.session_id,
            customer_id=self._customer(row),
            lines=lines,
            total=self._money(sum(line["price"]["amount"] * line["quantity"] for line in lines)),
        )
        return [order]

    def _customer(self, row: Row) -> str | None:
        return (row.customer_id or row.user_id) if self.identify else None

    def _line(self, row: Row, quantity: int) -> Payload:
        name = row.name or " ".join(part for part in (row.brand, (row.category or "").rpartition(".")[2]) if part)
        line = {
            "product_id": row.product_id,
            "quantity": quantity,
            "price": self._money(row.price or 0),
            "name": name.replace("_", " ").title() or f"Product {row.product_id}",
            "category": row.category,
            "brand": row.brand,
        }
        return {key: value for key, value in line.items() if value is not None}

    def _money(self, amount: int) -> Payload:
        return {"amount": amount, "currency": self.currency}
