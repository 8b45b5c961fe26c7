"""Figures on public data: no row knows its future, bad files are answered in words, what can be learnt is."""

import math
import os
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from ml.benchmarks import BadFile, cart_prefix, examples, fraud, online_shoppers, propensity

DATA = Path(os.environ.get("CARTMESH_DATA", Path(__file__).parents[3] / "shared" / "data"))


def public(name):
    if not (DATA / name).exists():
        pytest.skip(f"no {DATA / name}: set CARTMESH_DATA to the folder with the public data")
    return pl.read_parquet(DATA / name)


def written(frame, folder, name):
    frame.write_parquet(folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def prefixes(sessions):
    """Rows of cart prefixes: (visitor, visit, outcome), or with the views of each prefix."""
    rows = []
    for visitor, visit, outcome, *views in sessions:
        for cutoff, seen in enumerate(views or [1]):
            counted = {name: float(seen) for name in cart_prefix.SESSION}
            rows.append({"session_key": f"{visitor}_{visit}", "visitorid": visitor, "y": outcome, **counted})
            rows[-1] |= {"cutoff_k": cutoff, "view_count": seen}
    return pl.DataFrame(rows)


def history(known, rows=None):
    """What is remembered at each row, by visitor and visit."""
    path = Path("unnamed")
    known = cart_prefix.as_known(known, path)
    rows_known = cart_prefix.with_history(known if rows is None else cart_prefix.as_known(rows, path), known)
    return rows_known.drop("y", *cart_prefix.SESSION).sort("visitorid", "visit")


PAST = [(7, 1, 0, 2, 3), (7, 2, 1, 4), (7, 5, 0, 1), (8, 3, 1, 2)]


def test_a_visitors_earlier_sessions_are_remembered():
    """At a third cart the outcomes of the two before it are known, and how many visits ago they were."""
    third = history(prefixes(PAST)).row(by_predicate=(pl.col("visitorid") == "7") & (pl.col("visit") == 5), named=True)

    assert (third["earlier_carts"], third["earlier_purchases"], third["last_cart_bought"]) == (2, 1, 1)
    assert (third["visits_since_cart"], third["visits_since_purchase"], third["visits_without_cart"]) == (3, 3, 2)
    assert (third["usual_views"], third["carts_per_visit"]) == (3.5, 0.4)
    assert third["own_rate"] == pytest.approx((1 + 2 * 0.24) / 4)


def test_a_first_cart_remembers_nothing():
    """Where there is no earlier cart, counts are 0, and what would be a rate of nothing is not known."""
    first = history(prefixes(PAST)).row(by_predicate=(pl.col("visitorid") == "8"), named=True)

    assert (first["earlier_carts"], first["earlier_purchases"], first["own_rate"]) == (0, 0, 0.24)
    assert first["recent_rate"] is first["last_cart_bought"] is first["usual_views"] is None


def test_a_planted_future_changes_no_memory():
    """Given later sessions of the same visitor and any sessions of others, no earlier row changes."""
    planted = [(7, 6, 1, 9), (7, 9, 1, 9), (8, 4, 0, 9), (9, 1, 1, 9)]

    before, after = history(prefixes(PAST)), history(prefixes([*planted, *PAST]))

    assert before.equals(after.join(before.select("visitorid", "visit"), on=["visitorid", "visit"], how="semi"))


def test_a_sessions_own_outcome_and_length_change_no_memory():
    """What becomes of a session, and how many of its moments stand in the file, is not known inside of it."""
    before = history(prefixes(PAST)).filter(pl.col("visit") == 5)
    after = history(prefixes([*PAST[:2], (7, 5, 1, 1, 8, 9), PAST[3]])).filter(pl.col("visit") == 5)

    assert after.unique().equals(before)


def test_test_visitors_remember_what_the_training_file_knows(tmp_path):
    """A visitor in both files has one history; the training rows know nothing of the test file."""
    train = written(prefixes([(7, 1, 0), (8, 1, 1)]), tmp_path, "train")
    test = written(prefixes([(7, 2, 1), (9, 1, 0)]), tmp_path, "test")

    learnt, judged = cart_prefix.examples(train, test)

    at = judged.features.index("earlier_carts")
    assert learnt.rows[:, at].tolist() == [0, 0]
    assert dict(zip(judged.groups, judged.rows[:, at].tolist(), strict=True)) == {"7": 1, "9": 0}


def carts(seed, visitors=700):
    """Made-up sessions: some visitors buy always, others hardly ever; nothing else distinguishes them."""
    rng = np.random.default_rng(seed)
    keen = rng.random(visitors) < 0.3
    return prefixes(
        [
            (f"{seed}x{visitor}", visit, int(rng.random() < (0.9 if keen[visitor] else 0.1)), int(rng.integers(1, 9)))
            for visitor in range(visitors)
            for visit in range(1, 5)
        ]
    )


def months(seed, count=1500):
    """Made-up shop sessions: page values and an account page tell who buys."""
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame({name: rng.exponential(3, count).round(2) for name in online_shoppers.COUNTED})
    values = np.where(rng.random(count) < 0.3, rng.exponential(20, count), 0)
    chance = 1 / (1 + np.exp(3 - values / 8 - frame["Administrative"].to_numpy() / 4))
    return frame.with_columns(
        PageValues=values,
        Month=pl.Series(rng.choice(["Feb", "Mar", "May", "June", "Sep", "Oct"], count)),
        VisitorType=pl.lit("New_Visitor"),
        Weekend=pl.lit(value=False),
        Revenue=pl.Series(rng.random(count) < chance),
    )


def cards(seed, count=3000, start=0.0):
    """Made-up transactions: 3 % are frauds, and two numbers tell."""
    rng = np.random.default_rng(seed)
    bad = rng.random(count) < 0.03
    return pl.DataFrame(
        {"Time": start + np.arange(count), "Name": ["x"] * count, "Class": bad.astype(np.int64)}
        | {f"V{at}": rng.normal(size=count) + bad * (2.5 if at < 2 else 0.0) for at in range(5)}
    )


def test_visitors_who_always_buy_are_found(tmp_path):
    """Where only a visitor's own past predicts, the past makes the difference, and probabilities are honest."""
    train, test = written(carts(1), tmp_path, "train"), written(carts(2), tmp_path, "test")

    found = propensity.evaluate(train=train, test=test, layout="cart-prefix")

    assert found.auc > 0.75
    assert found.ece < 0.05
    assert found.top_decile_lift > 2
    assert math.isclose(found.base_rate, 0.34, abs_tol=0.05)


def test_later_months_are_foreseen_from_earlier_ones(tmp_path):
    """A layout with months is learnt, and its figures can be written down."""
    train, test = written(months(1), tmp_path, "train"), written(months(2), tmp_path, "test")

    found = propensity.evaluate(train=train, test=test, layout="online-shoppers")

    assert found.auc > 0.75
    assert found.brier < found.base_rate * (1 - found.base_rate)
    assert msgspec.json.decode(msgspec.json.encode(found))["rows"] == 1500
    assert "equally wide bins" in " ".join(found.lines())


def test_probabilities_are_calibrated_on_the_newest_months():
    """The newest months that hold a seventh of the rows count, however the months are spelt and sorted."""
    spelt = pl.Series(["Oct"] * 10 + ["Feb"] * 50 + ["June", "jun", "September"] * 10)

    assert online_shoppers.newest(spelt, Path("x")).sum() == 20


def test_rare_frauds_are_found(tmp_path):
    """Words are no inputs, a clock that counts on is left out by name, and most frauds are among the likeliest."""
    train, test = written(cards(1), tmp_path, "train"), written(cards(2, start=5000.0), tmp_path, "test")

    found = fraud.evaluate(train=train, test=test, label="Class")

    assert (found.features, found.left_out) == (5, ("Time",))
    assert found.auc > 0.9
    assert found.recall_at_01_percent < found.recall_at_1_percent <= 1
    assert found.call_1_us > 0
    assert "left out: Time" in found.lines()[-1]


def test_equals_share_what_they_find():
    """Lift and recall do not depend on the order of rows that are equally likely."""
    labels = np.array([1.0, 0.0, 0.0, 0.0] * 50)

    assert propensity.lift(labels, np.full(200, 0.5)) == pytest.approx(1.0)
    assert propensity.lift(labels, labels) == pytest.approx(4.0)
    assert fraud.recall(labels, np.full(200, 0.5), alarms=0.01) == pytest.approx(0.01)
    assert fraud.recall(labels, labels, alarms=0.01) == pytest.approx(2 / 50)


def changed(**columns):
    return lambda frame: frame.with_columns(**columns)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda frame: frame.drop("view_count"), "has no column view_count"),
        (lambda frame: frame.head(0), "has no rows"),
        (changed(y=pl.lit(1)), "y is 1 in all 12 rows; both labels are needed"),
        (changed(y=pl.lit(2)), "must be 0 or 1 in every row"),
        (changed(y=pl.lit(None, pl.Int64)), "must be 0 or 1 in every row"),
        (changed(view_count=pl.lit(float("nan"))), r"NaN or infinities in view_count \(12 rows\)"),
        (changed(view_count=pl.lit(float("-inf"))), "NaN or infinities in view_count"),
        (changed(view_count=pl.lit("many")), "something else than numbers"),
        (changed(session_key=pl.lit("7")), "session_key must be"),
        (changed(visitorid=pl.lit(None, pl.Int64)), "visitorid must be there"),
    ],
    ids=["column", "empty", "one label", "label 2", "no label", "NaN", "infinity", "words", "key", "visitor"],
)
@pytest.mark.parametrize("bad", ["train", "test"])
def test_a_bad_file_is_answered_in_words(bad, change, why, tmp_path):
    """Whichever of the files is bad, its name and what is wrong with it is said."""
    good = prefixes([(visitor, visit, visit % 2) for visitor in range(3) for visit in range(4)])
    paths = {name: written(change(good) if name == bad else good, tmp_path, name) for name in ("train", "test")}

    with pytest.raises(BadFile, match=f"{bad}.parquet.*{why}"):
        propensity.evaluate(**paths, layout="cart-prefix")


def test_what_is_no_table_is_answered_in_words(tmp_path):
    """A missing file, one of another kind, and a month that is none are said to be that."""
    (tmp_path / "text.parquet").write_text("no Parquet")

    with pytest.raises(BadFile, match="there is no file"):
        examples.read(tmp_path / "none.parquet")
    with pytest.raises(BadFile, match="cannot be read as Parquet"):
        examples.read(tmp_path / "text.parquet")
    with pytest.raises(BadFile, match="Month must be an English month such as Sep, not 'Brumaire'"):
        online_shoppers.newest(pl.Series(["Brumaire"]), Path("x"))
    with pytest.raises(BadFile, match="has no column V0, which"):
        fraud.evaluate(
            train=written(cards(1, 50), tmp_path, "a"),
            test=written(cards(1, 50).drop("V0"), tmp_path, "b"),
            label="Class",
        )
    nameless = written(cards(1, 50).select("Name", "Class"), tmp_path, "c")
    with pytest.raises(BadFile, match="no column of numbers"):
        fraud.evaluate(train=nameless, test=nameless, label="Class")


def test_what_a_file_does_not_know_is_no_error(tmp_path):
    """Null is how a file says that something is not known; such rows are judged as well."""
    gaps = carts(1, 100).with_columns(pl.when(pl.col("view_count") > 4).then("view_count").alias("view_count"))
    path = written(gaps, tmp_path, "gaps")

    assert propensity.evaluate(train=path, test=path, layout="cart-prefix").rows == len(gaps)


def test_real_carts_are_foreseen_better_with_memory(tmp_path):
    """On a fifth of the public carts, visitors apart, AUC is what little honest data gives, and not what leaks give."""
    frame = public("cart_prefix_dev.parquet").filter(pl.col("visitorid") % 5 == 0)
    learn = pl.col("visitorid") % 3 > 0
    train, test = written(frame.filter(learn), tmp_path, "train"), written(frame.filter(~learn), tmp_path, "test")

    found = propensity.evaluate(train=train, test=test, layout="cart-prefix")

    assert 0.62 < found.auc < 0.8
    assert found.ece < 0.06
    assert found.brier < found.base_rate * (1 - found.base_rate)


def test_real_months_are_foreseen(tmp_path):
    """The public shop's September and October are foreseen from the months before."""
    frame = public("online_shoppers_feb_oct.parquet")
    late = pl.col("Month").is_in(["Sep", "Oct"])

    found = propensity.evaluate(
        train=written(frame.filter(~late), tmp_path, "train"),
        test=written(frame.filter(late), tmp_path, "test"),
        layout="online-shoppers",
    )

    assert found.auc > 0.83
    assert found.pr_auc > 0.6


def test_real_frauds_are_found(tmp_path):
    """The later public card transactions are distinguished from the earlier ones."""
    frame = public("creditcard_us_first70.parquet").sort("Time")

    found = fraud.evaluate(
        train=written(frame.head(800), tmp_path, "train"),
        test=written(frame.tail(405), tmp_path, "test"),
        label="Class",
    )

    assert found.auc > 0.95
    assert found.left_out == ("Time",)
