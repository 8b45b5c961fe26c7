"""The benchmark of the next item reads what shops have, measures the same twice, and says what is wrong with a file."""

import os
from pathlib import Path

import polars as pl
import pytest

from ml.benchmarks import BadFile
from ml.benchmarks.next_item import evaluate

DATA = Path(os.environ.get("CARTMESH_DATA", Path(__file__).parents[3] / "shared" / "data"))
SESSIONS = [[f"p{at % 7}", f"p{at % 7 + 1}", f"p{at % 5}", f"p{at % 7}"][: 1 + at % 4] for at in range(300)]
CLICKS = [("s0", "a"), ("s0", "b"), ("s1", "a"), ("s1", "b"), ("s2", "a"), ("s2", "b"), ("s3", "c")]


@pytest.fixture
def files(tmp_path):
    """Write frames as the two files of the benchmark, and evaluate them."""

    def run(train, test, **more):
        paths = {"train": tmp_path / "train.parquet", "test": tmp_path / "test.parquet"}
        pl.DataFrame(train).write_parquet(paths["train"])
        pl.DataFrame(test).write_parquet(paths["test"])
        return evaluate(**({**paths, "click_log": None, "sample": None, "seed": 7} | more))

    return run


@pytest.fixture
def clicks(tmp_path):
    """Write a frame as a log of clicks, and evaluate it."""

    def run(frame):
        frame.write_parquet(tmp_path / "clicks.parquet")
        return evaluate(train=None, test=None, click_log=tmp_path / "clicks.parquet", sample=None, seed=7)

    return run


def log(rows, split):
    """A log of clicks, a second apart."""
    return pl.DataFrame(
        {
            "SessionId": [session for session, _ in rows],
            "ItemId": [item for _, item in rows],
            "Time": [1e9 + at for at in range(len(rows))],
            "split": [split] * len(rows),
        }
    )


def figures(found):
    """What does not depend on the clock."""
    return [(one.hit_rate, one.reciprocal_rank, one.coverage) for one in (found.blend, found.untuned, found.vmis)]


def test_ids_may_be_text_or_numbers(files):
    """The same sessions with text for ids and with numbers give the same figures."""
    prefixes, targets = [session[:2] for session in SESSIONS[2:40]], ["p1"] * 38
    numbers = {f"p{at}": at * 10 for at in range(8)}

    text = files({"session": range(300), "items": SESSIONS}, {"prefix": prefixes, "target": targets})
    whole = files(
        {"session": range(300), "items": [[numbers[item] for item in session] for session in SESSIONS]},
        {"prefix": [[numbers[item] for item in prefix] for prefix in prefixes], "target": [10] * 38},
    )

    assert figures(text) == figures(whole)
    assert (text.queries, text.sessions, text.items) == (38, 300, 8)


def test_prefixes_may_be_short_strange_or_empty(files):
    """One item, an item that nobody saw, only such items, nothing at all: each is a query with an answer."""
    found = files(
        {"session": [3, 1, 2, 9], "items": [["a", "b"], ["a", "b"], ["c"], []]},
        {
            "prefix": [["a"], ["a", "new"], ["new"], ["new", "newer", "new"], []],
            "target": ["b", "b", "a", "newer", "b"],
        },
    )

    assert found.queries == 5
    assert found.sessions == 3
    assert found.blend.hit_rate == 1.0
    assert found.blend.coverage == 1.0


def test_a_time_column_gives_the_order(files):
    """Sessions in any order are taken in the order of their times, where there are times."""
    test = {"prefix": [["p1"], ["p3"], ["p5", "p2"]], "target": ["p2", "p4", "p1"]}
    order = [*range(150, 300), *range(150)]

    sorted_ = files({"session": range(300), "items": SESSIONS}, test)
    shuffled = files({"session": order, "time": order, "items": [SESSIONS[at] for at in order]}, test)

    assert figures(shuffled) == figures(sorted_)
    assert shuffled.weights == sorted_.weights


def test_every_place_of_a_test_session_is_a_query(clicks):
    """Of a session of three clicks two are asked for; sessions of one click ask nothing; other splits are left out."""
    frame = pl.concat(
        [log(CLICKS, "train"), log([("t", "a"), ("t", "b"), ("t", "a"), ("u", "a")], "test"), log(CLICKS[:3], "valid")]
    )

    found = clicks(frame.sample(fraction=1.0, shuffle=True, seed=7))

    assert (found.queries, found.clicks, found.sessions) == (2, 7, 4)
    assert found.blend.hit_rate == 1.0


def test_a_seed_draws_the_same_sample(files):
    """The same seed asks the same questions, and no more of them than there are."""
    test = {"prefix": [session[:1] for session in SESSIONS], "target": [session[-1] for session in SESSIONS]}
    train = {"session": range(300), "items": SESSIONS}

    one, again, all_ = (files(train, test, sample=sample) for sample in (50, 50, 1_000))

    assert figures(one) == figures(again)
    assert (one.queries, all_.queries) == (50, 300)


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ({"session": [1]}, {"prefix": [["a"]], "target": ["a"]}, "lacks the columns items"),
        ({"items": [["a"]]}, {"prefix": [["a"]]}, "lacks the columns target"),
        ({"items": ["a"]}, {"prefix": [["a"]], "target": ["a"]}, "must be a list"),
        ({"items": [["a"]]}, {"prefix": [["a"]], "target": [None]}, "nulls"),
        ({"items": [["a", None]]}, {"prefix": [["a"]], "target": ["a"]}, "null"),
        ({"items": [["a"]]}, {"prefix": [[1]], "target": [1]}, "text"),
        ({"items": [[0.5]]}, {"prefix": [[0.5]], "target": [0.5]}, "whole numbers or text"),
        ({"items": [[]]}, {"prefix": [["a"]], "target": ["a"]}, "holds no sessions"),
        ({"items": [["a"]]}, {"prefix": [], "target": []}, "holds no prefixes"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(files, train, test, words):
    """Missing columns, nulls, nothing at all: refused, with what should be there."""
    if not test.get("prefix", [1]):
        test = {"prefix": pl.Series([], dtype=pl.List(pl.String)), "target": pl.Series([], dtype=pl.String)}
    if train.get("items") == [[]]:
        train = {"items": pl.Series([[]], dtype=pl.List(pl.String))}

    with pytest.raises(BadFile, match=words):
        files(train, test)


def test_a_log_that_cannot_be_used_is_refused_in_words(clicks, tmp_path):
    """Times that are no times, no training clicks, nothing to ask, no Parquet, not both layouts at once."""
    train, test = log(CLICKS, "train"), log([("t", "a"), ("t", "b")], "test")
    with pytest.raises(BadFile, match="NaN"):
        clicks(pl.concat([train.with_columns(Time=float("nan")), test]))
    with pytest.raises(BadFile, match="`train`"):
        clicks(test)
    with pytest.raises(BadFile, match="nothing to ask"):
        clicks(train)
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(BadFile, match="Parquet"):
        evaluate(train=None, test=None, click_log=tmp_path / "text.parquet", sample=None, seed=7)
    with pytest.raises(BadFile, match="either"):
        evaluate(train=tmp_path, test=None, click_log=None, sample=None, seed=7)


def test_real_clicks_are_foreseen_better_than_by_neighbours_alone():
    """On a real shop's log the blend beats VMIS-kNN on both measures, tuned or not."""
    path = DATA / "serenade_example.parquet"
    if not path.exists():
        pytest.skip(f"no {path}: set CARTMESH_DATA to the folder of the public data")

    found = evaluate(train=None, test=None, click_log=path, sample=None, seed=7)

    for blend in (found.blend, found.untuned):
        assert blend.hit_rate > found.vmis.hit_rate
        assert blend.reciprocal_rank > found.vmis.reciprocal_rank
    assert len(found.lines()) == 6
