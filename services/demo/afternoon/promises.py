"""Promises: what the mesh promises, held against a run's figures."""

from dataclasses import dataclass
from os import cpu_count, getloadavg
from typing import Any

from rich.table import Table

from services.demo.afternoon.checkouts import BUYERS, UNITS, CheckoutFigures
from services.demo.replay.tables import milliseconds

CATCH_UP_S = 15.0
"""Catching up after a cut may take this long."""
SECOND_MS = 1500.0
"""What "within the second of its falling due" means at the 99th percentile, on a machine that is not overloaded."""


@dataclass(frozen=True, kw_only=True)
class Promise:
    """A promise with its measured figure; `kept` is None where this run could not try it."""

    name: str
    text: str
    figure: str
    kept: bool | None


def promises(
    figures: dict[str, Any],
    *,
    personal: tuple[int, int],
    last_moment: str,
    troubled: str,
    checkouts: CheckoutFigures | None,
) -> list[Promise]:
    """P1 to P7.

    `personal` is how many personal events there are and how many of them, or addresses, stand in another
    region; `last_moment` what the shopper who bought just before her offer got; `troubled` what was killed;
    `checkouts` what became of the orders, where any were made.
    """
    cut = figures["region_cut"]
    return [
        Promise(
            name="P1",
            text=f"no acknowledged event is lost ({troubled})",
            figure=f"{figures['events_lost']} of {figures['events_acked']:,} lost",
            kept=figures["events_lost"] == 0,
        ),
        Promise(
            name="P2",
            text="an effect happens once",
            figure=f"{figures['duplicate_sends']} sent twice, {figures['events_doubled']} stored twice",
            kept=not (figures["duplicate_sends"] or figures["events_doubled"] or figures["strange_mails"]),
        ),
        Promise(
            name="P3",
            text="no offer is decided after a purchase",
            figure=f"{figures['wrong_sends']} of {figures['offers_sent']} sent; "
            f"bought at the last moment: {last_moment}",
            kept=figures["wrong_sends"] == 0 and figures["offers_sent"] > 0,
        ),
        _stock_promise(checkouts),
        Promise(
            name="P5",
            text="a region works alone and catches up",
            figure=f"{cut['region']} cut for {cut['seconds']} s: {cut['orders_during']} orders meanwhile, caught up in "
            f"{cut['caught_up_s']} s, {cut['lost']} lost, {cut['duplicated']} doubled"
            if cut["region"]
            else "there is only one region",
            kept=_alone(cut) if cut["region"] else None,
        ),
        Promise(
            name="P6",
            text="every left cart is decided, nothing is silent",
            figure=f"{figures['decisions']} decisions for {figures['carts_abandoned']} carts, "
            f"{figures['offers_open']} open, {figures['dead_letters']} dead letters",
            kept=figures["decisions"] == figures["carts_abandoned"] > 0
            and not (figures["offers_open"] or figures["dead_letters"]),
        ),
        Promise(
            name="P7",
            text="personal data stays where it belongs",
            figure=f"{personal[1]} of {personal[0]} personal events seen in another region",
            kept=personal[1] == 0 and personal[0] > 0,
        ),
    ]


def _stock_promise(checkouts: CheckoutFigures | None) -> Promise:
    text = "no unit of stock is sold twice"
    if checkouts is None:
        return Promise(name="P4", text=text, figure="nothing was ordered", kept=None)
    oversold, sold = checkouts.ledger.oversold, checkouts.sold
    figure = f"{BUYERS} buyers for the last {UNITS} units: {sold} sold, {oversold} oversold"
    return Promise(name="P4", text=text, figure=figure, kept=not oversold and 0 < sold <= UNITS)


def promises_table(made: list[Promise]) -> Table:
    """Promises as people read them."""
    table = Table("", "promise", "measured", "", title="what was promised")
    for promise in made:
        mark = {True: "[green]kept[/green]", False: "[bold red]BROKEN[/bold red]", None: "[dim]not tried[/dim]"}
        table.add_row(promise.name, promise.text, promise.figure, mark[promise.kept])
    return table


def latency_line(figures: dict[str, Any]) -> str:
    """How soon offers went out, and the machine's load: a machine's figure, so no promise hangs on it."""
    due = figures["latency_ms"]["due_to_smtp"]
    reached = due["p99"] is not None and due["p99"] <= SECOND_MS
    load = f"load {getloadavg()[0]:.1f} on {cpu_count()} cores"
    return (
        f"offers went out {milliseconds(due['p50'])} after they were due, p99 {milliseconds(due['p99'])}: "
        f"{'within the second' if reached else 'not within the second'} ({load})"
    )


def _alone(cut: dict[str, Any]) -> bool:
    caught_up = cut["caught_up_s"]
    in_time = caught_up is not None and caught_up <= CATCH_UP_S
    return bool(cut["orders_during"]) and in_time and not (cut["lost"] or cut["duplicated"])
