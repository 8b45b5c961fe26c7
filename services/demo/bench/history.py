"""History: how fast a million rows of a shop's past come in by `cartmesh import`, and how much memory that takes.

One region of three servers and the service `gateway` in a process of its own; the import is another process.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import psutil

from mesh.runtime.up import Up
from mesh.topology.mesh_toml import Topology
from services.demo.bench.memory import held

ROWS = 1_000_000
VISITORS, PRODUCTS = 20_011, 997
KEY = "bench-server-key"
SETTINGS = {
    "CARTMESH_SERVER_KEYS": KEY,
    "CARTMESH_KEY_RATE": "1000000",
    "CARTMESH_KEY_BYTES": "1000000000",
    "CARTMESH_ADDRESS_RATE": "1000000",
}
MAPPING = """
source = "old-shop"
type = "product_viewed"
[time]
column = "ts"
format = "epoch_ms"
[amounts]
decimal = "comma"
currency = "EUR"
[fields]
visitor_id = "user"
product_id = "sku"
price = "price"
"""


async def history(region: str, figures: dict[str, Any], share: int) -> dict[str, Any]:
    """Measure, in a region of its own, and add what is to be judged to `figures`. Raises RuntimeError."""
    rows = ROWS // share
    with TemporaryDirectory(prefix="cartmesh-") as name:
        folder = Path(name)
        _write(folder, rows)
        async with Up(Topology.of((region,)), only=("gateway",), companions=False, environment=SETTINGS) as up:
            took, peak = await _imported(folder, up.gateway(region))
            gateway = held(up, region)["gateway"].pss
    found = {"rows_per_second": round(rows / took), "seconds": round(took, 1), "import_mb": peak, "gateway_mb": gateway}
    figures["history"] = found
    figures["judged"]["seconds for 1,000,000 rows of history"] = ROWS / rows * took
    return found


def _write(folder: Path, rows: int) -> None:
    """A file of views as another system may have kept them: a second apart, with decimal commas."""
    start = int((datetime.now(UTC) - timedelta(days=300)).timestamp() * 1000)
    with (folder / "past.csv").open("w", encoding="utf-8") as file:
        file.write("ts;user;sku;price\n")
        for at in range(rows):
            file.write(f"{start + at * 1000};u{at % VISITORS};sku-{at % PRODUCTS};1.2{at % 90 + 10},00\n")
    (folder / "past.toml").write_text(MAPPING, encoding="utf-8")


async def _imported(folder: Path, gateway: str) -> tuple[float, int]:
    """The seconds that the command took, and the most memory it held, in MB."""
    command = ("import", "past.csv", "--mapping", "past.toml", "--gateway", gateway, "--key", KEY)
    began, peak = monotonic(), 0
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mesh.cli", *command),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = asyncio.create_task(child.communicate())
    try:
        while not said.done():
            peak = max(peak, psutil.Process(child.pid).memory_info().rss)
            await asyncio.wait([said], timeout=0.2)
    finally:
        if child.returncode is None:
            child.kill()
        output, _ = await said
    if child.returncode:
        raise RuntimeError(f"cartmesh import ended with {child.returncode}: {output.decode()[-500:]}")
    return monotonic() - began, round(peak / 2**20)
