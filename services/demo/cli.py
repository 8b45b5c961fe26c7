"""The commands `cartmesh simulate | replay | demo | bench | drill`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from mesh.shop_logs.style import Style


@dataclass(frozen=True, kw_only=True)
class Running:
    """A mesh that is up already.

    Parameters
    ----------
    servers
        The servers.json of a mesh that is up; its settings are not changed.
    gateway
        With --servers: REGION=URL, once per region.
    record
        With --servers: the inbox's record of accepted mails.
    key
        With --servers: a server key (CARTMESH_SERVER_KEYS), which orders need to count.
    """

    servers: Path | None = None
    gateway: Annotated[list[str] | None, Parameter(negative=())] = None
    record: Path | None = None
    key: str = "rehearsal"

    def fields(self) -> dict[str, Any]:
        """The fields of a replay's plan."""
        gateways = dict(pair.split("=", 1) for pair in self.gateway or ())
        return {"servers": self.servers, "gateways": gateways, "record": self.record, "key": self.key}


def commands(app: App) -> None:
    """Add them to the root command."""
    app.command(simulate)
    app.command(replay)
    app.command(demo)
    app.command(bench)
    drills = App(name="drill", help="Break a mesh on purpose and count what was lost.")
    drills.command(flash_sale, name="flash-sale")
    app.command(drills)


def simulate(*, out: Path, shoppers: int = 500, days: float = 14, seed: int = 1, currency: str = "USD") -> None:
    """Write the log of a shop that never was, for replays and for training.

    Parameters
    ----------
    out
        Where to: a .parquet or .csv file.
    shoppers
        How many there are.
    days
        For how long they shop.
    seed
        The same seed gives the same log.
    currency
        What prices are in.
    """
    from services.demo.simulate import simulate as shop  # noqa: PLC0415  what is heavy is imported by who runs it

    log = shop.simulate(shopper_count=shoppers, days=days, seed=seed, currency=currency)
    shop.write(log, out, currency=currency)
    print(f"{len(log)} rows of {shoppers} shoppers over {days:g} days: {out}")


def replay(  # noqa: D417  the options of `style` and `running` are described where they are
    file: Path,
    *,
    speed: float = 200,
    abandon_after: str = "30m",
    json: Path | None = None,
    ledger: Path | None = None,
    regions: str = "us,eu,ap",
    nodes: int = 3,
    limit: int | None = None,
    currency: str = "USD",
    patience: str = "5m",
    style: Annotated[Style, Parameter(name="*")] = Style(),  # noqa: B008  a frozen value
    running: Annotated[Running, Parameter(name="*")] = Running(),
) -> None:
    """Send a shop's log through the gateways of its shoppers' home regions, wait for every offer, and report.

    Starts an embedded mesh for it, unless `--servers` names one that is up. Delays are scaled with the speed;
    quiet hours are off in the mesh it starts. Ends with 1 when a promise was broken.

    Parameters
    ----------
    file
        Parquet or delimited text, also gzipped: event_time, event_type, product_id, user_id and, where known,
        user_session, category_code, brand, price, name, time_zone, device, locale. Says what it left out, and why.
    speed
        How many times faster than it happened; 0 is as fast as it goes.
    abandon_after
        When a cart counts as left, in the log's time.
    json
        Where the figures are written.
    ledger
        Where one row per event and offer is written, as Parquet.
    regions
        Regions of the embedded mesh.
    nodes
        Servers per region of the embedded mesh.
    limit
        Only the first rows of the file.
    currency
        What the log's prices are in.
    patience
        How long to wait at the end for what was set off.
    """
    from services.demo.replay import command  # noqa: PLC0415  what is heavy is imported by who runs it

    names = tuple(part.strip() for part in regions.split(",") if part.strip())
    plan: dict[str, Any] = {
        "file": file,
        "speed": speed,
        "abandon_after": abandon_after,
        "regions": names,
        "nodes": nodes,
    }
    plan |= {"limit": limit, "currency": currency, "patience": patience, "style": style, **running.fields()}
    sys.exit(command.run_replay(command.Plan(**plan), json=json, ledger=ledger))


def demo(*, json: Path | None = None, regions: str = "us,eu,ap", nodes: int = 3, seed: int = 1) -> None:
    """Play a shopper's afternoon on a whole mesh in three minutes, and hold every promise against its figures.

    Parameters
    ----------
    json
        Where the figures are written.
    regions
        Regions of the mesh.
    nodes
        Servers per region.
    seed
        Another seed is another afternoon.
    """
    from services.demo.afternoon.demo import play_demo  # noqa: PLC0415

    sys.exit(play_demo(tuple(regions.split(",")), nodes=nodes, seed=seed, json=json))


def bench(*, json: Path | None = None, quick: bool = False, only: str | None = None) -> None:
    """Measure rates, latencies and memory on this machine, beside raw nats-py and FastStream.

    Parameters
    ----------
    json
        Where the figures are written.
    quick
        A tenth of the work: to see that it runs, not to quote.
    only
        Only these parts, separated by commas: library, audiences, latency, redemption, ingest, cost, growth,
        memory, webhooks, lake.
    """
    from services.demo.bench.command import run_bench  # noqa: PLC0415

    run_bench(json=json, quick=quick, only=tuple(only.split(",")) if only else ())


def flash_sale(
    *,
    orders: int = 500,
    skus: int = 20,
    seed: int = 1,
    chaos: Literal["none", "kill", "cut"] = "none",
    json: Path | None = None,
    regions: str = "us,eu,ap",
    nodes: int = 3,
    rate: float = 0,
    at_once: int = 16,
    patience: str = "5m",
) -> None:
    """Have buyers order over HTTP in all regions while things break, and draw up a ledger of every order.

    The ledger is counted from the streams and from the payment provider's own books. Ends with 1 where something was
    oversold, charged twice, charged and not confirmed, stuck, lost or done twice.

    Parameters
    ----------
    orders
        How many orders there are.
    skus
        How many SKUs are sold. Every fifth order wants the first one, of which there are few.
    seed
        The same seed has the same orders, and chooses the same things to break.
    chaos
        `kill` ends services and servers with SIGKILL, `cut` cuts a region off from the others; again and again.
    json
        Where the ledger is written.
    regions
        Regions of the mesh.
    nodes
        Servers per region.
    rate
        Orders a second over all regions; 0 is as fast as the buyers get answers.
    at_once
        With rate 0: buyers in each region who order one after the other.
    patience
        How long nothing may happen to the checkouts that have not ended before they count as stuck.
    """
    from mesh.settings import duration  # noqa: PLC0415  what is heavy is imported by who runs it
    from services.demo.flash_sale.command import run_flash_sale  # noqa: PLC0415  the same
    from services.demo.flash_sale.plan import Plan  # noqa: PLC0415  the same

    plan = Plan(
        orders=orders,
        skus=skus,
        seed=seed,
        chaos=chaos,
        regions=tuple(part.strip() for part in regions.split(",") if part.strip()),
        nodes=nodes,
        rate=rate,
        at_once=at_once,
        patience=duration(patience),
    )
    sys.exit(run_flash_sale(plan, json=json))
