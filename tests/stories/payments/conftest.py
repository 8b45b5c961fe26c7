"""A region in memory in which payments are taken, by a sandbox provider over real HTTP."""

import hmac
import json
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.payment import (
    PaymentAuthorisationRequested,
    PaymentCaptureRequested,
    PaymentRefundRequested,
    PaymentVoidRequested,
)
from mesh.runtime.ports import free_ports
from mesh.runtime.run import running
from services import payments
from services.demo.payment_provider.server import payment_provider
from services.payments.fold import ANSWERS, fold
from services.payments.webhooks import PATH

API_KEY, SECRET = "sk_test_0123456789abcdef", "whsec_0123456789abcdef"


def euros(amount):
    return Money(amount=amount, currency="EUR")


@dataclass
class Shop:
    """What a test does with payments, and what it sees of them."""

    mesh: Mesh
    provider: httpx.AsyncClient
    url: str
    eventually: object
    folder: Path
    stack: AsyncExitStack
    regions: MemoryMesh
    asked: int = field(default=0)

    def key(self):
        self.asked += 1
        return f"key-{self.asked}"

    async def authorise(self, payment="p1", amount=4200, method="card_ok", key=None):
        await self.mesh.publish(
            PaymentAuthorisationRequested(
                payment_id=payment,
                order_id=f"o-{payment}",
                amount=euros(amount),
                method=method,
                idempotency_key=key or self.key(),
            )
        )

    async def capture(self, payment="p1", amount=4200, key=None):
        await self._ask(PaymentCaptureRequested, payment, amount=euros(amount), idempotency_key=key or self.key())

    async def refund(self, payment="p1", amount=4200, key=None):
        await self._ask(PaymentRefundRequested, payment, amount=euros(amount), idempotency_key=key or self.key())

    async def void(self, payment="p1", key=None):
        await self._ask(PaymentVoidRequested, payment, idempotency_key=key or self.key())

    async def _ask(self, kind, payment, **fields):
        await self.mesh.publish(kind(payment_id=payment, order_id=f"o-{payment}", **fields))

    async def answers(self, payment="p1"):
        """The events by which the payments service answered, oldest first."""
        return [one.event for one in await self.mesh.history(payment, *ANSWERS)]

    async def names(self, payment="p1"):
        return [type(one).__name__.removeprefix("Payment") for one in await self.answers(payment)]

    async def until(self, *names, payment="p1"):
        """Wait until the payment's answers are these."""

        async def reached():
            return await self.names(payment) == list(names)

        try:
            await self.eventually(reached)
        except AssertionError:
            raise AssertionError(f"{await self.names(payment)} instead of {list(names)}") from None
        return await self.answers(payment)

    async def state(self, payment="p1"):
        """Authorised, captured, released, refunded, as the log has them."""
        state = fold(payment, await self.mesh.history(payment, "payment")).state
        return (state.authorised.amount, state.captured.amount, state.released.amount, state.refunded.amount)

    async def faults(self, **faults):
        """From now on the provider has these faults and no others."""
        assert (await self.provider.put("/faults", json=faults)).status_code == 200

    async def as_bank(self, charge_id, verb, **fields):
        """What a card's bank does at the provider: dispute a charge, or let the shop win."""
        headers = {"Idempotency-Key": self.key()}
        answer = await self.provider.post(f"/v1/charges/{charge_id}/{verb}", json=fields, headers=headers)
        assert answer.status_code == 200, answer.text

    async def charges(self):
        """The provider's own books."""
        always = {"since": "2020-01-01T00:00:00Z", "until": "2090-01-01T00:00:00Z"}
        return (await self.provider.get("/v1/charges", params=always)).json()["charges"]

    async def books(self):
        """The amounts of every charge in the provider's books, as in `state`."""
        names = ("authorised", "captured", "released", "refunded")
        return {one["reference"]: tuple(one[name] for name in names) for one in await self.charges()}

    async def webhook(self, body, *, secret=SECRET, age=0, header=None):
        """Send a webhook, signed as Stripe documents it."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        at = int(time.time()) - age
        signed = hmac.new(secret.encode(), str(at).encode() + b"." + content, sha256).hexdigest()
        async with httpx.AsyncClient(timeout=60) as client:
            return await client.post(
                f"{self.url}{PATH}", content=content, headers={"Sandbox-Signature": header or f"t={at},v1={signed}"}
            )


@pytest.fixture
async def shop(monkeypatch, tmp_path, eventually):
    regions = MemoryMesh("us", "eu")
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(payment_provider(tmp_path, api_key=API_KEY, secrets=(SECRET,)))
        (port,) = free_ports(1)
        monkeypatch.setenv("CARTMESH_URL_PAYMENT_PROVIDER", provider)
        monkeypatch.setenv("CARTMESH_PAYMENT_PROVIDER_KEY", API_KEY)
        monkeypatch.setenv("CARTMESH_PAYMENT_WEBHOOK_SECRETS", SECRET)
        monkeypatch.setenv("CARTMESH_PAYMENT_DEADLINE", "2s")
        monkeypatch.setenv("CARTMESH_URL_PAYMENTS", url := f"http://127.0.0.1:{port}")
        meshes = [Mesh(regions.broker("us"), name, others=("eu",)) for name in ("tests", "payments")]
        for one in meshes:
            stack.push_async_callback(one.broker.drain)
        await stack.enter_async_context(running(payments.service, meshes[1], http=("127.0.0.1", port)))
        headers = {"Authorization": f"Bearer {API_KEY}"}
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=provider, headers=headers, timeout=60))

        async def registered():
            return (tmp_path / "webhook_endpoints.txt").exists()

        await eventually(registered)
        yield Shop(meshes[0], client, url, eventually, tmp_path, stack, regions)
