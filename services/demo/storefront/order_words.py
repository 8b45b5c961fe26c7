"""Order words: what has become of an order, as its buyer reads it."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from mesh.web.event_stream import server_sent_event
from services.demo.storefront.catalogue import LANGUAGES
from services.demo.storefront.frame import money_words
from services.demo.storefront.texts import words

ENTRIES = {
    "order.created.v1": "created",
    "order.readdressed.v1": "readdressed",
    "order.confirmed.v1": "confirmed",
    "shipment.requested.v1": "shipping",
    "shipment.dispatched.v1": "dispatched",
    "shipment.delivered.v1": "delivered",
    "order.cancelled.v1": "cancelled",
    "order.returned.v1": "returned",
    "order.refunded.v1": "refunded",
}
"""The events that a buyer is shown, and the name of the sentence about each."""
CAUSES = {"reserve": "sold_out", "authorise": "payment"}
"""The checkout's steps whose failure a buyer is shown. Why one was suspected of fraud is nobody's business."""


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the interface of orders has it, with its events."""

    order: dict[str, Any]
    events: list[dict[str, Any]]

    def encode(self, language: str) -> bytes:
        """A server-sent event in a language of the shop; an unknown one is English."""
        known = language if language in LANGUAGES else LANGUAGES[0]
        shown = describe(self, words(known), known)
        return server_sent_event("order", msgspec.json.encode(shown), id=self.order["sequence"])


def describe(state: OrderState, w: Mapping[str, str], language: str) -> dict[str, Any]:
    """What the page shows: the state in a word and a sentence, the history, and what may be put into the cart again."""
    order, status = state.order, state.order["status"]
    cause = cause_of(state)
    total = order["ordered"]
    return {
        "status": status,
        "heading": w[f"order_{status}"],
        "sentence": w[f"cancelled_{cause}"] if status == "cancelled" else w[f"order_{status}_more"],
        "number": order["reference"] or order["order_id"],
        "total": money_words(total["amount"], total["currency"], language),
        "history": list(_history(state, w, cause)),
        "lines": ordered_lines(state) if status == "cancelled" else {},
    }


def cause_of(state: OrderState) -> str:
    """Why an order was cancelled: sold_out, payment, customer or shop."""
    ends = [one["data"] for one in state.events if one["type"] == "order.cancelled.v1"]
    if not ends:
        return ""
    if ends[-1]["by"] == "checkout":
        return CAUSES.get(ends[-1]["reason"].partition(":")[0], "shop")
    by: str = ends[-1]["by"]
    return by


def ordered_lines(state: OrderState) -> dict[str, int]:
    """Pieces by product, as they were ordered."""
    created = next((one["data"] for one in state.events if one["type"] == "order.created.v1"), {"lines": []})
    return {line["product_id"]: line["quantity"] for line in created["lines"]}


def _history(state: OrderState, w: Mapping[str, str], cause: str) -> Iterator[dict[str, str]]:
    for one in state.events:
        if name := ENTRIES.get(one["type"]):
            more = f" {w[f'cancelled_{cause}']}" if name == "cancelled" and cause else ""
            yield {"at": one["time"], "text": w[f"history_{name}"] + more}
