"""Tables: a run's figures as people read them."""

from typing import Any

from rich.table import Table

WORDS = {
    "events_published": "events sent",
    "events_acked": "acknowledged",
    "events_rejected": "rejected",
    "events_lost": "lost",
    "events_doubled": "doubled",
    "carts_abandoned": "carts abandoned",
    "decisions": "decisions",
    "offers_sent": "offers sent (accepted by SMTP)",
    "offers_held": "offers held",
    "offers_dropped": "offers dropped",
    "offers_withdrawn": "offers withdrawn",
    "offers_failed": "offers failed",
    "wrong_sends": "sent after a purchase",
    "late_sends": "bought while the mail was on its way",
    "duplicate_sends": "sent twice",
    "recovered": "carts recovered",
    "dead_letters": "dead letters",
}


def figures_table(figures: dict[str, Any]) -> Table:
    """The figures of a report."""
    table = Table("what", "count", title=f"{figures['regions']} regions x {figures['nodes']} nodes")
    table.columns[1].justify = "right"
    for name, words in WORDS.items():
        table.add_row(words, f"{figures[name]:,}")
    table.add_section()
    for name, found in figures["latency_ms"].items():
        table.add_row(
            f"{name.replace('_', ' ')} p50 / p99", f"{milliseconds(found['p50'])} / {milliseconds(found['p99'])}"
        )
    return table


def milliseconds(value: float | None) -> str:
    """`1,234 ms`, or a dash where nothing was measured."""
    return "-" if value is None else f"{value:,.0f} ms"
