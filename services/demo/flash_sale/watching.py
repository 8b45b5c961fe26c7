"""Watching: the shop's own page of all orders, held open during a sale, and how late each change comes to it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import msgspec

AGAIN = 0.2
"""Seconds after which a stream that ended, as with a service that was killed, is opened again."""


class Shown(msgspec.Struct, frozen=True):
    """What is used of an order that changed: when its newest event was stored."""

    updated_at: datetime


@asynccontextmanager
async def watching(urls: Mapping[str, str], key: str, shown: list[timedelta]) -> AsyncIterator[None]:
    """Until the block ends, note how late changes come: from each region's order views, as server-sent events."""
    pages = [asyncio.create_task(_watch(url, key, shown), name=f"orders of {region}") for region, url in urls.items()]
    try:
        yield
    finally:
        for page in pages:
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)


async def _watch(url: str, key: str, shown: list[timedelta]) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=httpx.Timeout(20, read=None)) as client:
        while True:
            try:
                async with client.stream("GET", "/v1/orders/live") as answer:
                    answer.raise_for_status()
                    async for line in answer.aiter_lines():
                        if line.startswith("data: "):
                            order = msgspec.json.decode(line.removeprefix("data: "), type=Shown)
                            shown.append(datetime.now(UTC) - order.updated_at)
            except httpx.HTTPError:
                pass
            await asyncio.sleep(AGAIN)
