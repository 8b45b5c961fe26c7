"""The simulated shop."""

from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from services.demo.replay.shop_log import read_log
from services.demo.simulate.simulate import BEGIN, simulate, write


@pytest.fixture(scope="module")
def log():
    return simulate(shopper_count=700, days=14, seed=3)


def test_a_seed_is_a_shop(log):
    """The same seed gives the same log, another seed another one."""
    assert simulate(shopper_count=700, days=14, seed=3) == log
    assert simulate(shopper_count=700, days=14, seed=4) != log


def test_it_is_a_shop(log):
    """Much looking, some carts, fewer purchases; carts are left and bought; all inside the days asked for."""
    counts = Counter(row.kind for row in log)
    carts = {row.session_id for row in log if row.kind == "cart"}
    bought = {row.session_id for row in log if row.kind == "purchase"}

    assert counts["view"] > 5 * counts["cart"] > 5 * counts["purchase"] > 0
    assert 0.2 < len(carts & bought) / len(carts) < 0.6
    assert BEGIN <= log[0].time <= log[-1].time < BEGIN + timedelta(days=14)
    assert [row.time for row in log] == sorted(row.time for row in log)
    assert len({row.device for row in log}) == 3
    assert len({row.time_zone for row in log}) == 8


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_written_and_read(log, tmp_path, ending):
    """A written log is read back as it was (CSV to the second)."""
    path = tmp_path / f"log.{ending}"

    write(log[:300], path)

    back = read_log(path).rows
    whole = [row.time.replace(microsecond=0) for row in log[:300]]
    assert [row.time.replace(microsecond=0) for row in back] == whole
    assert [(row.price, row.session_id, row.name) for row in back] == [
        (row.price, row.session_id, row.name) for row in log[:300]
    ]


def test_it_can_be_learned(log):
    """A plain model that sees only what happened before predicts who buys, better than the base rate (AUC > 0.62)."""
    features, labels = [], []
    bought_before, sessions = Counter(), {}
    for row in log:
        sessions.setdefault(row.session_id, []).append(row)
    for rows in sessions.values():
        carts = [at for at, row in enumerate(rows) if row.kind == "cart"]
        buys = any(row.kind == "purchase" for row in rows)
        if carts:
            seen = rows[: carts[-1] + 1]
            wanted = seen[-1].product_id
            features.append(
                [
                    sum(row.product_id == wanted for row in seen),
                    np.log1p(len(seen)),
                    np.log1p(seen[-1].price),
                    bought_before[seen[0].user_id],
                    seen[0].device == "mobile",
                ]
            )
            labels.append(buys)
        bought_before[rows[0].user_id] += buys
    half = len(labels) // 2
    scaler = StandardScaler().fit(features[:half])

    model = LogisticRegression().fit(scaler.transform(features[:half]), labels[:half])

    predicted = model.predict_proba(scaler.transform(features[half:]))[:, 1]
    assert roc_auc_score(labels[half:], predicted) > 0.62
