"""The documentation as a browser shows it, with no internet behind it."""

import asyncio
import shutil

import pytest

from mesh.runtime.run import running
from services import gateway

BROWSER = shutil.which("chromium")


@pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH: the page is not looked at")
async def test_the_page_shows_every_operation(mesh, tmp_path):
    """Swagger UI starts under the page's own policy and lists what can be called."""
    async with running(gateway.service, mesh, http=("127.0.0.1", 0)) as run:
        process = await asyncio.create_subprocess_exec(
            BROWSER,
            *("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=30000", "--dump-dom"),
            f"--user-data-dir={tmp_path}",
            f"http://127.0.0.1:{run.port}/docs",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            shown, _ = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    for words in (b"Store events", b"Live offers of a visitor", b"The script tag to paste into a page", b"CartUpdated"):
        assert words in shown
