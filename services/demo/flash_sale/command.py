"""The command `cartmesh drill flash-sale`."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from mesh.errors import TopologyError
from mesh.observability.logs import configure_logs
from services.demo.flash_sale.account import IDLE_SECONDS, account, account_table, counted
from services.demo.flash_sale.buyers import Buyers, Placed
from services.demo.flash_sale.ledger import ZERO, Ledger, draw_up, stuck
from services.demo.flash_sale.plan import Plan, purchases
from services.demo.flash_sale.records import Reader, Records
from services.demo.flash_sale.sale import KEY, Shop, ended, fill, opened
from services.demo.flash_sale.trouble import Trouble
from services.demo.flash_sale.watching import watching

SHOWN = 20
"""How many of those that went wrong are listed."""


def run_flash_sale(plan: Plan, *, json: Path | None, directory: Path | None = None) -> int:
    """Hold the sale, print the ledger, write it as JSON; 1 where a count that must be 0 is not, or an order is refused.

    Raises TopologyError for a cut in a mesh of one region.
    """
    import uvloop  # noqa: PLC0415  only what runs a mesh needs it

    if plan.chaos == "cut" and len(plan.regions) < 2:
        raise TopologyError("--chaos cut: one region has no links; name several, as --regions us,eu")
    configure_logs(level="ERROR")
    console = Console()
    placed, records, trouble = uvloop.run(hold(plan, console, directory))
    ledger = draw_up(placed, records)
    console.print(ledger_table(ledger))
    refused = [one for one in placed if one.refused]
    for line in complaints(placed, records):
        console.print(line, soft_wrap=True, markup=False)
    for line in trouble:
        console.print(f"  {line}", soft_wrap=True, markup=False)
    if json:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(ledger), indent=2))
    return 1 if ledger.wrong or refused else 0


async def hold(plan: Plan, console: Console, directory: Path | None = None) -> tuple[list[Placed], Records, list[str]]:
    """Hold the sale: how each purchase was answered, what the streams and books say at the end, and the trouble."""
    console.print(f"starting {len(plan.regions)} region(s) of {plan.nodes} server(s), and the services of orders ...")
    async with opened(plan, directory) as shop:
        await fill(shop, plan)
        buyers, trouble, over = Buyers(shop.orders, plan), Trouble(shop.up, plan), asyncio.Event()
        reader = Reader(shop.meshes, shop.books)
        async with watching(shop.views, KEY, reader.records.shown), _accounted(shop, plan, console):
            making_trouble = asyncio.create_task(trouble.until(over))
            with console.status("buyers order ...") as status:
                try:
                    await buyers.order_all(purchases(plan), lambda count: status.update(f"{count} orders answered ..."))
                finally:
                    over.set()
                await making_trouble
                records = await ended(reader, buyers, plan.patience, status.update)
        return buyers.placed, records, trouble.done


@asynccontextmanager
async def _accounted(shop: Shop, plan: Plan, console: Console) -> AsyncIterator[None]:
    """Print what one order cost, in the only region where nothing is killed: a killed process counts from 0 again."""
    if plan.chaos != "none" or len(plan.regions) > 1:
        yield
        return
    (region,) = plan.regions
    console.print(f"watching the idle region for {IDLE_SECONDS:g} s ...")
    calm = await counted(shop.up, region)
    await asyncio.sleep(IDLE_SECONDS)
    before = await counted(shop.up, region)
    yield
    after = await counted(shop.up, region)
    console.print(account_table(account((calm, before), (before, after), plan.orders)))


def ledger_table(ledger: Ledger) -> Table:
    """The figures, with a verdict beside those that must be 0."""
    table = Table("figure", "counted", "", title="flash sale")
    for name, value in msgspec.to_builtins(ledger).items():
        verdict = ("[red]must be 0[/red]" if value else "[green]0[/green]") if name in ZERO else ""
        shown = f"p50 {value['p50']}, p99 {value['p99']}" if isinstance(value, dict) else str(value)
        table.add_row(name, shown, verdict)
    return table


def complaints(placed: list[Placed], records: Records) -> list[str]:
    """What to look at: refused orders, checkouts that have not ended with their step, dead letters."""
    taken = [one.order_id for one in placed if one.order_id]
    lines = [f"{one.purchase.reference} was not taken: {one.refused}" for one in placed if one.refused][:SHOWN]
    waiting = stuck(taken, records)
    lines += [f"{count} are stuck at {where}" for where, count in Counter(waiting.values()).most_common()]
    lines += [f"order {order_id} is stuck at {where}" for order_id, where in list(waiting.items())[:SHOWN]]
    if records.dead_letters:
        lines.append(f"{records.dead_letters} events are dead letters: cartmesh dlq")
    return lines
