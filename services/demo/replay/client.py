"""Client: sends a shop's events to the gateways over kept-alive HTTP, again with the same ids until answered."""

import asyncio
import random
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx

from services.demo.replay.evidence import Sent
from services.demo.replay.storefront_events import Payload

BUSY = frozenset({429, 502, 503, 504})
"""Answers that say: the same request may succeed later."""


class Client:
    """One sender per region and lane; events of one visitor always take the same lane, so they keep their order.

    `patience` bounds how long one batch is retried, in seconds; `batch` how many events one request carries.
    """

    def __init__(
        self,
        gateways: dict[str, str],
        *,
        key: str,
        lanes: int = 4,
        batch: int = 50,
        patience: float = 60,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.gateways, self.batch, self.patience = gateways, batch, patience
        self.sent: list[Sent] = []
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"},
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            timeout=httpx.Timeout(20, connect=5),
            transport=transport,
        )
        self._lanes = {
            region: [asyncio.Queue[tuple[Sent, Payload] | None]() for _ in range(lanes)] for region in gateways
        }
        self._senders: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Begin to send."""
        self._senders = [
            asyncio.create_task(self._send_lane(region, lane))
            for region, lanes in self._lanes.items()
            for lane in lanes
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sending; what no request carried stays unanswered. Call `flush` before to leave nothing behind."""
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        await self._http.aclose()

    def send(self, region: str, payload: Payload) -> Sent:
        """Hand over an event; it is on its way as soon as its lane is free."""
        sent = Sent(
            id=payload["id"],
            type=payload["type"],
            region=region,
            visitor_id=payload["visitor_id"],
            sent_at=datetime.now(UTC),
        )
        self.sent.append(sent)
        lanes = self._lanes[region]
        lanes[hash(sent.visitor_id) % len(lanes)].put_nowait((sent, payload))
        return sent

    async def flush(self) -> None:
        """Wait until everything handed over is answered, or given up after `patience`. Raises what a sender raised."""
        joined = asyncio.create_task(self._joined())
        try:
            await asyncio.wait({joined, *self._senders}, return_when=asyncio.FIRST_COMPLETED)
            for sender in self._senders:
                if sender.done():
                    sender.result()
            await joined
        finally:
            joined.cancel()

    async def _joined(self) -> None:
        for lanes in self._lanes.values():
            for lane in lanes:
                await lane.join()

    @property
    def backlog(self) -> int:
        """Events handed over that no request has carried yet."""
        return sum(lane.qsize() for lanes in self._lanes.values() for lane in lanes)

    async def _send_lane(self, region: str, lane: "asyncio.Queue[tuple[Sent, Payload] | None]") -> None:
        while True:
            taken = [await lane.get()]
            while len(taken) < self.batch and not lane.empty():
                taken.append(lane.get_nowait())
            try:
                await self._post(region, [one for one in taken if one is not None])
            finally:
                for _ in taken:
                    lane.task_done()

    async def _post(self, region: str, batch: list[tuple[Sent, Payload]]) -> None:
        """Send one batch until it is answered for good; `unanswered` when patience ends."""
        clock = asyncio.get_running_loop().time
        deadline, attempt = clock() + self.patience, 0
        body = {"events": [payload for _, payload in batch]}
        while True:
            attempt += 1
            for sent, _ in batch:
                sent.attempts = attempt
            try:
                answer = await self._http.post(f"{self.gateways[region]}/v1/events", json=body)
            except httpx.TransportError as error:
                wait, reason = backoff(attempt), f"{type(error).__name__}: {error}"
            else:
                if answer.status_code not in BUSY:
                    record(answer, [sent for sent, _ in batch])
                    return
                wait = retry_after(answer) or backoff(attempt)
                reason = f"{answer.status_code}: {answer.text[:200]}"
            if clock() + wait > deadline:
                for sent, _ in batch:
                    sent.reason = f"given up after {attempt} attempts, the last: {reason}"
                return
            await asyncio.sleep(wait)


def record(answer: httpx.Response, sent: list[Sent]) -> None:
    """Write the gateway's final answer on each event of the batch: what of it is rejected, or a refusal of all."""
    now = datetime.now(UTC)
    refused: dict[int, Any] = {}
    judged = answer.status_code in (202, 422)
    if judged:
        refused = {rejection["index"]: rejection for rejection in answer.json().get("rejected", [])}
    for index, one in enumerate(sent):
        one.answered_at = now
        if not judged:
            one.answer, one.reason = "rejected", f"{answer.status_code}: {answer.text[:300]}"
        elif index in refused:
            one.answer = "rejected"
            one.reason = f"{refused[index].get('path', '')}: {refused[index].get('reason', '')}"
        else:
            one.answer = "accepted"


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds that a busy gateway asked to wait (RFC 9110 section 10.2.3), at most 30; None when it did not say."""
    header = answer.headers.get("retry-after", "")
    return min(float(header), 30.0) if header.replace(".", "", 1).isdigit() else None


def backoff(attempt: int) -> float:
    """Seconds before the next attempt: doubling from 0.1 to 3, with jitter."""
    return min(0.1 * 2 ** (attempt - 1), 3.0) * random.uniform(0.5, 1.0)  # noqa: S311  jitter, not a secret
