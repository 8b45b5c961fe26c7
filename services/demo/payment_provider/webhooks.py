"""Webhooks of the sandbox provider: signed by Stripe's scheme, and late, doubled or out of order on demand."""

import asyncio
import hmac
import random
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit, urlunsplit

import msgspec

from mesh.web.http_client import HttpClient, http_client
from mesh.web.http_connection import CallFailed
from services.demo.payment_provider.books import Entry
from services.demo.payment_provider.faults import Faults

ENDPOINTS = "webhook_endpoints.txt"
HEADER = "Sandbox-Signature"
TYPES = {
    "authorise": "authorised",
    "capture": "captured",
    "void": "voided",
    "refund": "refunded",
    "dispute": "dispute_opened",
    "win": "dispute_won",
}
_TRIES = 12
_DEADLINE = 10.0
"""Seconds that one attempt may take."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0


class Webhooks:
    """Sends what was booked to every address that was registered, until it is taken."""

    def __init__(self, folder: Path, secrets: Iterable[str], seed: int = 0) -> None:
        self._secrets, self._random = tuple(secrets), random.Random(seed)  # noqa: S311  faults, not secrets
        self._clients, self._opened = dict[str, HttpClient](), AsyncExitStack()
        self._path = folder / ENDPOINTS
        self.addresses: set[str] = set(self._path.read_text(encoding="utf-8").split()) if self._path.exists() else set()
        self.faults = Faults()
        self._kept_back: list[bytes] = []
        self._sending: set[asyncio.Task[None]] = set()

    def register(self, address: str) -> None:
        """Send to this address too, also after a restart."""
        self.addresses.add(address)
        self._path.write_text("\n".join(sorted(self.addresses)), encoding="utf-8")

    def booked(self, entry: Entry) -> None:
        """Send it as the faults say: now, later, several times, or behind those that are booked after it."""
        if self.faults.webhooks_lost:
            return
        name = "declined" if entry.charge.declined else TYPES[entry.verb]
        body = msgspec.json.encode({"id": f"evt_{token_hex(12)}", "type": f"charge.{name}", "charge": entry.charge})
        self._kept_back.append(body)
        if len(self._kept_back) <= self.faults.webhooks_kept_back:
            return
        for one in self._shuffled():
            self._begin(one)

    def release(self) -> None:
        """Send what is kept back."""
        for one in self._shuffled():
            self._begin(one)

    async def close(self) -> None:
        """Send nothing more."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._opened.aclose()

    def _shuffled(self) -> list[bytes]:
        waiting, self._kept_back = self._kept_back, []
        if self.faults.webhooks_reordered:
            self._random.shuffle(waiting)
        return waiting

    def _begin(self, body: bytes) -> None:
        for address in self.addresses:
            for _ in range(1 + self.faults.webhooks_doubled):
                task = asyncio.create_task(self._send(address, body, self.faults.webhook_delay_s))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    async def _send(self, address: str, body: bytes, delay: float) -> None:
        """Try until it is taken, with a fresh signature each time, as Stripe does."""
        await asyncio.sleep(delay)
        pause = _FIRST_PAUSE
        for _ in range(_TRIES):
            with suppress(CallFailed, TimeoutError, ValueError):
                client, target = await self._client(address)
                headers = {HEADER: self.signed(body), "Content-Type": "application/json"}
                async with asyncio.timeout(_DEADLINE):
                    answer = await client.request("POST", target, content=body, headers=headers)
                if answer.is_success:
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _client(self, address: str) -> tuple[HttpClient, str]:
        parts = urlsplit(address)
        server, target = f"{parts.scheme}://{parts.netloc}", urlunsplit(("", "", parts.path or "/", parts.query, ""))
        if server not in self._clients:
            self._clients[server] = await self._opened.enter_async_context(http_client(server))
        return self._clients[server], target

    def signed(self, body: bytes) -> str:
        """The header: the time, and one signature for each secret."""
        at = int(time.time())
        signatures = (hmac.new(one.encode(), b"%d.%s" % (at, body), sha256).hexdigest() for one in self._secrets)
        return ",".join([f"t={at}", *(f"v1={one}" for one in signatures)])
