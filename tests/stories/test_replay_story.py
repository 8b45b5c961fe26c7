"""A small shop's log through the whole mesh: HTTP in, mail out, and a report that counts it all."""

import msgspec
import polars as pl

from services.demo.replay.command import Plan, run_replay
from services.demo.simulate.simulate import simulate, write


def test_a_replay_keeps_every_promise(tmp_path):
    """Every event of a replayed log is stored once, every left cart is decided, and no mail is wrong or doubled."""
    log, figures, ledger = tmp_path / "log.parquet", tmp_path / "figures.json", tmp_path / "ledger.parquet"
    rows = simulate(shopper_count=60, days=2, seed=5)
    write(rows, log)
    plan = Plan(file=log, speed=2 * 86400 / 8, abandon_after="6h", regions=("us",), nodes=1, patience="60s")

    status = run_replay(plan, json=figures, ledger=ledger)

    totals = msgspec.json.decode(figures.read_bytes())
    assert status == 0, totals
    assert totals["events_published"] == totals["events_acked"] > len(rows) / 2
    nothing = ("events_lost", "events_doubled", "wrong_sends", "duplicate_sends", "strange_mails", "dead_letters")
    assert {name: totals[name] for name in nothing} == dict.fromkeys(nothing, 0)
    assert totals["decisions"] == totals["carts_abandoned"] > 0
    assert totals["offers_sent"] > 0
    assert totals["latency_ms"]["due_to_smtp"]["p50"] is not None
    fates = pl.read_parquet(ledger).filter(pl.col("what") == "offer")["outcome"]
    assert fates.len() == totals["carts_abandoned"]
