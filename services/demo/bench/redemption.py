"""Redemption: how long the shop's server waits for a code to be reserved, and to be redeemed, every service running."""

import asyncio
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from time import perf_counter
from typing import Any

import msgspec

from mesh import Mesh
from mesh.errors import MeshError
from mesh.events.code import CodeChanged
from mesh.events.offer import OfferDecided
from services.demo.bench.http_client import HttpClient, connected
from services.demo.replay.environment import Environment
from services.demo.replay.report import percentiles

RATE = 10
"""Codes a second, each reserved and redeemed: two requests."""
PATIENCE = 60.0


async def redemption(environment: Environment, region: str, *, codes: int) -> dict[str, Any]:
    """Issue codes by offers, then reserve and redeem each at a steady rate. Figures in ms; `refused` must be 0."""
    if environment.up is None:
        raise MeshError("redemption is measured in a mesh that was built for it")
    mesh, run = environment.meshes[region], token_hex(4)
    names = [f"BENCH-{run}-{number:05}" for number in range(codes)]
    await _issue(mesh, names)
    found: list[timedelta] = []
    refused = 0

    async def use(http: HttpClient, number: int, code: str) -> None:
        nonlocal refused
        body = msgspec.json.encode({"order_id": f"{run}-{number}", "amount": {"amount": 9000, "currency": "EUR"}})
        for action, sent in (("reserve", body), ("redeem", msgspec.json.encode({"order_id": f"{run}-{number}"}))):
            began = perf_counter()
            answer = await http.post(
                f"/v1/codes/{code}/{action}", sent, f"Idempotency-Key: {run}-{number}-{action}\r\n"
            )
            found.append(timedelta(seconds=perf_counter() - began))
            refused += answer.status != 200

    clock = asyncio.get_running_loop().time
    async with connected(environment.up.urls[region]["promotions"], environment.key) as http:
        began, sending = clock(), []
        for number, code in enumerate(names):
            await asyncio.sleep(max(0.0, began + number / RATE - clock()))
            sending.append(asyncio.create_task(use(http, number, code)))
        await asyncio.gather(*sending)
        took = clock() - began
    return {**percentiles(found), "requests": len(found), "refused": refused, "rate": round(len(found) / took)}


async def _issue(mesh: Mesh, names: list[str]) -> None:
    """Approved offers whose codes are then issued; no channel sends them."""
    known = await _issued(mesh)
    for code in names:
        decided = OfferDecided(
            cart_id=code,
            visitor_id=code,
            offer_id=code,
            abandonment_id=code,
            attempt=1,
            outcome="approved",
            reason="",
            checks=(),
            journey="bench",
            due=datetime.now(UTC),
            coupon=code,
            discount_percent=10,
        )
        await mesh.publish(decided)
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while await _issued(mesh) < known + len(names):
        if asyncio.get_running_loop().time() > deadline:
            raise MeshError(f"not every code was issued within {PATIENCE:g} s")
        await asyncio.sleep(0.2)


async def _issued(mesh: Mesh) -> int:
    return len([1 async for one in mesh.read(CodeChanged) if one.event.before is None])
