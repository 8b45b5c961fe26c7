"""A gateway that is asked to stop while pages listen for offers."""

import asyncio

import httpx

from mesh import Mesh
from mesh.runtime.run import running
from services import gateway


async def test_open_pages_do_not_hold_up_a_drain(regions):
    """Their streams end at once, and well; browsers come back to another gateway."""
    began, received = asyncio.Event(), []

    async def listen(port):
        async with (
            httpx.AsyncClient(timeout=30) as client,
            client.stream("GET", f"http://127.0.0.1:{port}/v1/cards/v1?key=demo") as answer,
        ):
            async for line in answer.aiter_lines():
                received.append(line)
                began.set()

    async with running(gateway.service, Mesh(regions.broker("us"), "gateway"), http=("127.0.0.1", 0)) as run:
        listening = asyncio.create_task(listen(run.port))
        await began.wait()
        asked = asyncio.get_running_loop().time()
    await listening
    took = asyncio.get_running_loop().time() - asked

    assert took < 9, "the HTTP server alone would wait ten seconds, and then cut them"
    assert received[0] == "retry: 2000"
