"""Load: as many events as a gateway takes, over kept-alive HTTP."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from secrets import token_hex
from typing import Any

import msgspec

from services.demo.bench.http_client import HttpClient
from services.demo.replay.report import rank

Payload = dict[str, Any]


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Events that were acknowledged, the rate a second, and a request's time in ms; `busy` counts 429 and 503."""

    events: int
    rate: float
    p50: float | None
    p99: float | None
    busy: int


async def send_all(http: HttpClient, payloads: Iterator[Payload], *, batch: int = 10, at_once: int = 24) -> Load:
    """Send everything in batches, `at_once` requests side by side, busy answers again after a moment.

    Raises RuntimeError with the gateway's answer for any other answer than 202.
    """
    times: list[float] = []
    done = busy = 0
    bodies = iter([msgspec.json.encode({"events": part}) for part in _parts(payloads, batch)])

    async def send() -> None:
        nonlocal done, busy
        for body in bodies:
            while True:
                began = time.perf_counter()
                answer = await http.post("/v1/events", body)
                times.append(time.perf_counter() - began)
                if answer.status not in (429, 503):
                    break
                busy += 1
                await asyncio.sleep(0.05)
            if answer.status != 202:
                raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
            answered = msgspec.json.decode(answer.body)
            if answered["rejected"]:
                raise RuntimeError(f"rejected: {answered['rejected'][:3]}")
            done += answered["accepted"]

    began = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(at_once)))
    seconds = time.perf_counter() - began
    taken = sorted(one * 1000 for one in times)
    return Load(events=done, rate=done / seconds, p50=rank(taken, 0.5), p99=rank(taken, 0.99), busy=busy)


def views(count: int, *, visitors: int = 500) -> Iterator[Payload]:
    """Product views of many visitors."""
    run = token_hex(3)
    for at in range(count):
        yield {
            "id": f"view-{run}-{at}",
            "type": "product_viewed",
            "time": datetime.now(UTC).isoformat(),
            "visitor_id": f"viewer-{at % visitors}",
            "session_id": f"viewing-{at % visitors}",
            "product_id": f"product-{at % 97}",
            "category": "electronics.audio.headphone",
            "price": {"amount": 4999, "currency": "EUR"},
            "device": "mobile",
        }


def carts(count: int, *, run: str | None = None) -> Iterator[Payload]:
    """Filled carts, each its own, of a visitor of its own."""
    run = run or token_hex(3)
    for at in range(count):
        yield {
            "id": f"cart-{run}-{at}",
            "type": "cart_updated",
            "time": datetime.now(UTC).isoformat(),
            "visitor_id": f"buyer-{run}-{at}",
            "cart_id": f"cart-{run}-{at}",
            "lines": [
                {"product_id": "p1", "quantity": 1, "price": {"amount": 4999, "currency": "EUR"}, "name": "Headphones"}
            ],
        }


def introductions(count: int, *, run: str) -> Iterator[Payload]:
    """Who those visitors are, and that they welcome mail."""
    for at in range(count):
        visitor = f"buyer-{run}-{at}"
        known = {"time": datetime.now(UTC).isoformat(), "visitor_id": visitor}
        yield {"id": f"who-{run}-{at}", "type": "customer_identified", "email": f"{visitor}@example.test", **known}
        yield {"id": f"may-{run}-{at}", "type": "consent_changed", "channel": "email", "granted": True, **known}


def _parts(payloads: Iterator[Payload], size: int) -> Iterator[list[Payload]]:
    while part := list(islice(payloads, size)):
        yield part
