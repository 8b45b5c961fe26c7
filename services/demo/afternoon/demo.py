"""Demo: a whole mesh, a shop with a past, and one afternoon that tries every promise."""

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from time import monotonic

import msgspec
from rich.console import Console

from mesh.errors import MeshError
from mesh.event import declaration_of
from mesh.observability.logs import configure_logs
from services.demo.afternoon.checkouts import CheckoutFigures, Checkouts, checkouts_opened
from services.demo.afternoon.event_feed import EventFeed
from services.demo.afternoon.promises import latency_line, promises, promises_table
from services.demo.afternoon.scenarios import (
    buy_at_the_last_moment,
    buy_on_another_device,
    come_back_with_the_offer,
    cut_a_region,
    kill_a_server,
    personal_copies,
)
from services.demo.afternoon.shoppers import DemoShoppers, cart_of
from services.demo.afternoon.timeline import Timeline
from services.demo.demo_settings import FLAGGED_ABROAD, WITHOUT_LIMITS
from services.demo.flash_sale.sale import STOCK_STREAM
from services.demo.replay.client import Client
from services.demo.replay.collector import Collector
from services.demo.replay.environment import Environment, built
from services.demo.replay.evidence import Evidence
from services.demo.replay.offers import abandonments
from services.demo.replay.replay import play
from services.demo.replay.report import broken, report
from services.demo.replay.settle import settle
from services.demo.replay.shop_log import Row
from services.demo.replay.storefront_events import Storefront
from services.demo.replay.tables import figures_table
from services.demo.simulate.simulate import BEGIN, simulate

ABANDON_AFTER = timedelta(seconds=3)
REGULARS, PAST = 400, timedelta(days=8)
"""The shoppers who have a past, and how much of it."""
SHOPPERS, AFTERNOON, SECONDS = 1800, timedelta(hours=8), 45
"""The shoppers of the afternoon (the regulars among them), its length, and the seconds it is played in."""
NOON = BEGIN + PAST + timedelta(hours=12)
PATIENCE = timedelta(seconds=60)
DECIDED = {**FLAGGED_ABROAD, "CARTMESH_FRAUD_FLAGGED": "undo", "CARTMESH_CHECK_WITHIN": "60s"}
"""Nobody is there who would review a flagged order: it is undone. A busy machine is no reason to leave a check out."""


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo found: the evidence, what was left undone, and how many personal events reached another region.

    `checkouts` is what became of the orders that went through the whole checkout.
    """

    evidence: Evidence
    checkouts: CheckoutFigures
    left: str | None
    personal_copies: int


def play_demo(regions: tuple[str, ...], *, nodes: int, seed: int, json: Path | None) -> int:
    """Play, print what was promised and what was measured, write the figures; 0 when all was kept, else 1."""
    import uvloop  # noqa: PLC0415  only what runs a mesh needs it

    configure_logs(level="ERROR")
    console, began = Console(), monotonic()
    result = uvloop.run(_play(regions, nodes, seed, console))
    figures = report(result.evidence)
    personal = sum(declaration_of(type(one.event)).personal for one in result.evidence.stored)
    made = promises(
        figures,
        personal=(personal, result.personal_copies),
        last_moment=_last_moment(result.evidence),
        troubled="a server and services killed with -9" if result.evidence.trouble else "nothing was killed",
        checkouts=result.checkouts,
    )
    console.print(figures_table(figures))
    console.print(promises_table(made))
    console.print(latency_line(figures), soft_wrap=True)
    console.print(checkouts_line(result.checkouts), soft_wrap=True)
    if json:
        written = {**figures, "checkouts": result.checkouts.ledger}
        json.write_bytes(msgspec.json.format(msgspec.json.encode(written), indent=2))
    wrong = [*([result.left] if result.left else []), *broken(figures), *result.checkouts.wrong]
    for line in wrong:
        console.print(f"[red]broken:[/red] {line}", soft_wrap=True)
    console.print(f"played in {monotonic() - began:.0f} s")
    return 1 if wrong or any(promise.kept is False for promise in made) else 0


def checkouts_line(found: CheckoutFigures) -> str:
    """What became of the orders that went through the whole checkout."""
    ledger = found.ledger
    return (
        f"{ledger.orders} orders through the whole checkout: {ledger.confirmed} paid, {ledger.cancelled} cancelled, "
        f"{found.flagged} of them flagged as fraud; the declined payment was "
        f"{'undone and its buyer written to' if found.undone else 'NOT undone'}"
    )


def _last_moment(evidence: Evidence) -> str:
    """What Lena got. On a machine too slow for her to be in time her order comes after the decision; it says so."""
    own = [one for one in abandonments(evidence) if one.abandoned.event.cart_id == cart_of("lena")]
    if not any(one.mails for one in own):
        return "nothing was sent"
    return "WRONG" if any(one.wrong for one in own) else "her order came after the decision"


async def _play(regions: tuple[str, ...], nodes: int, seed: int, console: Console) -> DemoResult:
    settings = {"CARTMESH_ABANDON_AFTER": f"{ABANDON_AFTER.total_seconds():g}s", **DECIDED, **WITHOUT_LIMITS}
    console.print(f"starting {len(regions)} regions of {nodes} servers, and every service in each ...")
    async with built(regions, nodes=nodes, environment=settings, streams=(STOCK_STREAM,)) as environment:
        past = simulate(shopper_count=REGULARS, days=(NOON - BEGIN) / timedelta(days=1), seed=seed)
        afternoon = simulate(shopper_count=SHOPPERS, days=AFTERNOON / timedelta(days=1), seed=seed, begin=NOON)
        collector = await Collector.begin(environment.meshes, environment.record, nodes=nodes)
        async with Client(environment.gateways, key=environment.key) as client:
            await _send_past(past, client, console)
            await _train(environment, console)
            await settle(collector, client.sent, patience=PATIENCE)
            if environment.up is None:
                raise MeshError("the demo kills servers and cuts links, so it plays on a mesh of its own")
            async with checkouts_opened(environment.meshes, environment.up, environment.key) as checkouts:
                with Timeline(console, regions) as timeline:
                    await _afternoon(afternoon, environment, client, collector, timeline, checkouts)
                    left = await settle(collector, client.sent, patience=PATIENCE)
                became = await checkouts.figures(environment.record)
        evidence = collector.finish(client.sent, collector.evidence.cut)
        personal = await personal_copies(environment.meshes)
        return DemoResult(evidence=evidence, left=left, personal_copies=personal, checkouts=became)


async def _send_past(past: list[Row], client: Client, console: Console) -> None:
    """Send what happened before, with the times at which it happened, as fast as it goes."""
    back = datetime.now(UTC) - NOON
    began = monotonic()
    storefront = Storefront(run=f"past{token_hex(3)}", identify=False)
    await play(past, storefront, client, speed=0, at=lambda row: row.time + back)
    took = monotonic() - began
    console.print(f"{len(client.sent)} events of the last {PAST.days} days sent in {took:.1f} s; training on them ...")


async def _train(environment: Environment, console: Console) -> None:
    """Train on what the streams hold, with the command an operator would use."""
    if environment.up is None:
        return
    training = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mesh.cli", "train", "--from-mesh", "--servers", str(environment.up.servers_file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await training.communicate()
    for line in printed.decode(errors="replace").strip().splitlines()[-4:]:
        console.print(f"  {line}", soft_wrap=True, markup=False)


async def _afternoon(
    log: list[Row],
    environment: Environment,
    client: Client,
    collector: Collector,
    timeline: Timeline,
    checkouts: Checkouts,
) -> None:
    """The ordinary shoppers, and beside them the scenarios."""
    storefront = Storefront(run=f"noon{token_hex(3)}")
    listening = asyncio.create_task(EventFeed(environment, timeline).run())
    await asyncio.sleep(0.5)
    try:
        speed = AFTERNOON.total_seconds() / SECONDS
        await asyncio.gather(
            play(log, storefront, client, speed=speed),
            _scenarios(environment, DemoShoppers(client, storefront), collector, timeline, checkouts),
        )
        await asyncio.sleep(ABANDON_AFTER.total_seconds() + 1)  # the last carts' timers, while somebody still watches
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


async def _scenarios(
    environment: Environment,
    shoppers: DemoShoppers,
    collector: Collector,
    timeline: Timeline,
    checkouts: Checkouts,
) -> None:
    regions, up = environment.regions, environment.up
    await asyncio.sleep(2)
    winning = asyncio.create_task(come_back_with_the_offer(shoppers, regions[-1], environment.record, timeline))
    await buy_at_the_last_moment(shoppers, environment.meshes[regions[0]], timeline)
    await winning
    await asyncio.sleep(1)
    ordering = asyncio.create_task(checkouts.order_everything(timeline))
    if len(regions) > 1:
        await buy_on_another_device(shoppers, regions[0], regions[1], timeline)
        await asyncio.sleep(3)
    await ordering
    if up is None:
        return
    if len(regions) > 1:
        await cut_a_region(up, regions[-1], shoppers, collector, timeline)
        await asyncio.sleep(2)
    if environment.nodes > 1:
        await kill_a_server(up, regions[0], shoppers, collector, timeline)
