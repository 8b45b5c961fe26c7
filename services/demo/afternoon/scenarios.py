"""What single shoppers and operators do during the demo, one coroutine each."""

import asyncio
import itertools
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mesh import Mesh
from mesh.envelope import open_envelope
from mesh.errors import InvalidEvent, Unavailable
from mesh.event import declaration_of
from mesh.events.cart import CartIdle
from mesh.runtime.up import Up
from mesh.streams import mesh_stream
from mesh.subjects import timer_subject
from services.demo.afternoon.shoppers import DemoShoppers, cart_of
from services.demo.afternoon.timeline import Timeline
from services.demo.replay.collector import Collector, read_mails
from services.demo.replay.evidence import Cut
from services.demo.replay.report import missing_copies

LAST_MOMENT = timedelta(milliseconds=250)
"""How long before the timer the last-moment order is sent: an HTTP request and a commit fit in."""
CUT_SECONDS = 9.0


async def buy_at_the_last_moment(shoppers: DemoShoppers, mesh: Mesh, timeline: Timeline) -> None:
    """Lena fills a cart, lets its timer run down, and buys just before it is due."""
    region = mesh.region
    shoppers.act(region, "lena", "cart", name="Desk Lamp", price=6900)
    timeline.add("lena puts a lamp into her cart and leaves it", region=region, style="bold")
    due = None
    while due is None:
        await asyncio.sleep(0.05)
        due = await timer_of(mesh, cart_of("lena"))
    await asyncio.sleep(max(0.0, (due - LAST_MOMENT - datetime.now(UTC)).total_seconds()))
    shoppers.act(region, "lena", "purchase", name="Desk Lamp", price=6900)
    early = (due - datetime.now(UTC)).total_seconds() * 1000
    timeline.add(f"lena buys {early:.0f} ms before her timer is due", region=region, style="bold")


async def come_back_with_the_offer(shoppers: DemoShoppers, region: str, record: Path, timeline: Timeline) -> None:
    """Nora leaves a cart, reads her mail and buys."""
    shoppers.act(region, "nora", "cart", name="Coat Stand", price=8900)
    timeline.add("nora leaves a coat stand in her cart", region=region, style="bold")
    for _ in range(200):
        await asyncio.sleep(0.05)
        if any(mail.recipient == "nora@example.test" for mail in read_mails(record)):
            break
    await asyncio.sleep(1)
    shoppers.act(region, "nora", "purchase", name="Coat Stand", price=8900)
    timeline.add("nora has read her mail and buys", region=region, style="bold")


async def buy_on_another_device(shoppers: DemoShoppers, home: str, other: str, timeline: Timeline) -> None:
    """Ada leaves a cart on her phone and buys on her laptop, in another region."""
    shoppers.act(home, "ada-phone", "cart", name="Floor Lamp", price=12900, customer="ada")
    shoppers.act(other, "ada-laptop", "view", name="Floor Lamp", price=12900, customer="ada")
    timeline.add("ada leaves a lamp in the cart on her phone", region=home, style="bold")
    await asyncio.sleep(1.5)
    shoppers.act(other, "ada-laptop", "purchase", name="Floor Lamp", price=12900, customer="ada")
    timeline.add("ada buys it on her laptop", region=other, style="bold")


async def cut_a_region(up: Up, region: str, shoppers: DemoShoppers, collector: Collector, timeline: Timeline) -> None:
    """Cut one region from all others; it takes orders and sends offers, then heals and catches up."""
    began = datetime.now(UTC)
    up.servers.cut(region)
    timeline.links[region] = "CUT OFF"
    timeline.add("the region is cut off from all others", region=region, style="bold red")
    shoppers.act(region, "marco", "cart", name="Reading Lamp", price=4900)
    timeline.add("marco leaves a cart in the region that is cut off", region=region, style="bold")
    for number in range(3):
        await asyncio.sleep(CUT_SECONDS / 3)
        shoppers.act(region, f"islander-{number}", "purchase", name="Wall Lamp", price=3900)
    await asyncio.sleep(0.5)
    await up.servers.heal(region)
    healed = datetime.now(UTC)
    timeline.links[region] = "linked"
    timeline.add("the links are back", region=region, style="bold")
    caught_up = await _catching_up(collector, healed)
    collector.evidence.cut = Cut(region=region, began=began, healed=healed, caught_up=caught_up)
    took = f"in {(caught_up - healed).total_seconds():.1f} s" if caught_up else "not yet"
    timeline.add(f"all regions know what happened meanwhile, {took}", region=region, style="bold")


async def kill_a_server(up: Up, region: str, shoppers: DemoShoppers, collector: Collector, timeline: Timeline) -> None:
    """End a server and the region's services with SIGKILL while events come in, and start the server again."""
    began = datetime.now(UTC)
    load = asyncio.create_task(_shop_along(shoppers, region))
    await up.servers.kill_node(region, 1)
    await up.child(region, "worker").kill()
    timeline.add("kill -9: one of three servers, and all services behind the gateway", region=region, style="bold red")
    await asyncio.sleep(2)
    await up.servers.start_node(region, 1)
    await asyncio.wait_for(up.child(region, "worker").ready.wait(), 60)
    load.cancel()
    timeline.add("all servers and services are back", region=region, style="bold")
    # Leaders that were lost took up to 8 s to be replaced in measurements: what is due until then may be late.
    collector.evidence.trouble.append((began - timedelta(seconds=2), datetime.now(UTC) + timedelta(seconds=3)))


async def _shop_along(shoppers: DemoShoppers, region: str) -> None:
    """Shoppers who notice nothing: views all the while, and now and then an order."""
    for number in itertools.count():
        visitor = f"load-{number}"
        shoppers.act(region, visitor, "purchase" if number % 20 == 10 else "view", name="Candle", price=1200)
        await asyncio.sleep(0.05)


async def timer_of(mesh: Mesh, cart_id: str) -> datetime | None:
    """When a cart's idle timer is due; None while there is none."""
    waiting = timer_subject(mesh.region, declaration_of(CartIdle), cart_id)
    message = await mesh.broker.last(mesh.stream_of(CartIdle), waiting)
    return open_envelope(message.body).time if message else None


async def personal_copies(meshes: dict[str, Mesh]) -> int:
    """Messages in any region's copy of the whole mesh that are personal or show a shopper's address."""
    count = 0
    for region, mesh in meshes.items():
        for root in ("ev", "pii", "timer"):
            async for message in mesh.broker.read(mesh_stream(region), [f"{root}.>"]):
                count += root != "ev" or b"@example.test" in message.body
    return count


async def _catching_up(collector: Collector, healed: datetime) -> datetime | None:
    for _ in range(120):
        with suppress(Unavailable, InvalidEvent):
            evidence = await collector.collect()
            if not missing_copies(evidence, until=healed):
                arrivals = [
                    copy.stored for copies in evidence.copies.values() for copy in copies if copy.time <= healed
                ]
                return max([healed, *(at for at in arrivals if at > healed)])
        await asyncio.sleep(0.25)
    return None
