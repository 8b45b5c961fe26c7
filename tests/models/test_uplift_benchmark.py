"""Uplift on public files: what is read, what is left out, and what the product would do."""

import os
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from ml.benchmarks import BadFile
from ml.benchmarks.randomised import Question, read
from ml.benchmarks.uplift import evaluate
from ml.models.dr_learner import DRLearner
from ml.models.response import ResponseModel
from ml.training.recipient_choice import choose, cross_fit

DATA = Path(os.environ.get("CARTMESH_DATA", Path(__file__).parents[3] / "shared" / "data"))
ASKED = {"treatment": "group", "treated": "mail", "control": "none", "outcome": "visit"}


def people(count=1200, *, seed=1):
    """A test in which only those who like shoes are changed; those who like hats visit anyway."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["mail", "none", "phone"], size=count)
    likes = rng.choice(["shoes", "hats"], size=count)
    moved = (group == "mail") & (likes == "shoes")
    visit = rng.random(count) < np.where(likes == "hats", 0.7, 0.1) + 0.4 * moved
    bought = visit & (rng.random(count) < 0.3)
    return pl.DataFrame(
        {
            "person": [f"p{at}" for at in range(count)],
            "group": group,
            "likes": likes,
            "age": rng.integers(18, 80, count),
            "member": rng.random(count) < 0.5,
            "visit": visit.astype(int),
            "bought": bought.astype(int),
            "spent": np.where(bought, 9.5, 0.0),
            "opened": np.where(group == "mail", rng.random(count) < 0.5, False).astype(int),
        }
    )


def written(folder, frame, name="train"):
    path = folder / f"{name}.parquet"
    frame.write_parquet(path)
    return path


def test_choosing_is_found_to_help_where_it_does(tmp_path):
    """Learnt on one half, judged on the other, with the decision from the first alone; and it is JSON and lines."""
    train, test = written(tmp_path, people()), written(tmp_path, people(seed=2), "test")

    found = evaluate(train=train, test=test, **ASKED, seed=7)

    best = next(one for one in found.learners if one.name == found.chosen)
    assert (found.decision, found.above_response) == ("target", True)
    assert best.qini_interval.low > 0
    assert found.columns == ("likes", "age", "member")
    assert any(line.startswith("decision: target") for line in found.lines())
    assert msgspec.json.decode(msgspec.json.encode(found))["decision"] == "target"


def test_what_comes_after_treatment_is_left_out_and_said(tmp_path):
    """Names, what the outcome implies, what depends on the treatment, and what the user excludes."""
    path = written(tmp_path, people())

    both = read(path, path, Question(**ASKED, exclude=("age",)))

    why = dict(one.split(": ", 1) for one in both.left_out)
    assert both.columns == ("likes", "member")
    assert why["age"] == "excluded"
    assert why["person"] == "another value in every row"
    assert why["bought"] == why["spent"] == "all but implied by the outcome"
    assert why["opened"].startswith("depends on the treatment")


def test_other_arms_are_ignored_and_kinds_never_seen_are_none(tmp_path):
    """Rows of other arms do not count; a kind that only the test has is no column."""
    train = written(tmp_path, people())
    test = written(tmp_path, people(seed=2).with_columns(likes=pl.lit("gloves")), "test")

    both = read(train, test, Question(**ASKED, exclude=("age", "member")))

    assert len(both.train) == people().filter(pl.col("group") != "phone").height
    assert both.train.rows.shape[1] == 2
    assert not both.test.rows.any()


def test_of_a_very_long_file_a_sample_is_used_and_said(tmp_path):
    """Figures from a part are no secret."""
    path = written(tmp_path, people())

    both = read(path, path, Question(**ASKED), most=500)

    assert (len(both.train), len(both.test)) == (500, 500)
    assert any("a sample of 500 is used" in one for one in both.left_out)


@pytest.mark.parametrize(
    ("spoil", "asked", "message"),
    [
        (lambda rows: rows.drop("visit"), {}, "no column 'visit'"),
        (lambda rows: rows, {"treatment": "grp"}, "no column 'grp'"),
        (lambda rows: rows, {"exclude": ("colour",)}, "no column 'colour'"),
        (lambda rows: rows, {"treated": "letter"}, "no row has group = 'letter'"),
        (lambda rows: rows, {"control": "letter"}, "no row has group = 'letter'"),
        (lambda rows: rows.clear(), {}, "has no rows"),
        (lambda rows: rows.with_columns(visit=1), {}, "nothing can be learnt"),
        (lambda rows: rows.with_columns(visit=pl.col("spent")), {}, "must be 0 or 1"),
        (lambda rows: rows.with_columns(visit=pl.lit(None)), {}, "must be 0 or 1"),
        (lambda rows: rows.with_columns(visit=pl.lit(float("nan"))), {}, "must be 0 or 1"),
        (lambda rows: rows.with_columns(group=pl.lit(1)), {}, "'mail' is none"),
        (lambda rows: rows.select("group", "visit", "person"), {}, "nothing is known of people"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, spoil, asked, message):
    """With a text that says what to do."""
    path = written(tmp_path, spoil(people()))

    with pytest.raises(BadFile, match=message):
        read(path, path, Question(**{**ASKED, **asked}))


def test_a_file_that_is_none_says_so(tmp_path):
    """Not Parquet, or not there."""
    (tmp_path / "x.parquet").write_text("no")

    for path in (tmp_path / "x.parquet", tmp_path / "none.parquet"):
        with pytest.raises(BadFile, match="cannot be read"):
            read(path, path, Question(**ASKED))


def test_unknown_values_of_people_are_no_hindrance(tmp_path):
    """NaN, infinities and nothing at all in what is known of people beforehand."""
    rows = people().with_columns(
        height=pl.when(pl.col("age") % 3 == 0).then(float("nan")).when(pl.col("age") % 3 == 1).then(float("inf")),
        likes=pl.when(pl.col("age") > 30).then(pl.col("likes")),
    )
    path = written(tmp_path, rows)

    trial = read(path, path, Question(**ASKED)).train

    model = DRLearner().fit(trial.rows, trial.labels, trial.treated, share=trial.share)
    assert np.isfinite(model.predict(trial.rows)).all()


def hillstrom(treated, outcome):
    path = DATA / "hillstrom_dev.parquet"
    if not path.exists():
        pytest.skip(f"no {path}: set CARTMESH_DATA to the folder with the public data")
    return read(path, path, Question(treatment="segment", treated=treated, control="No E-Mail", outcome=outcome)).train


def test_hillstrom_recipients_of_the_womens_mail_are_worth_choosing():
    """Choosing is proven to help, and the order is better than that of who responds."""
    trial = hillstrom("Womens E-Mail", "visit")

    uplift, response = (cross_fit(learner, trial, seed=7) for learner in (DRLearner, ResponseModel))

    assert choose(trial, {"DR-learner": uplift}, seed=7).decision == "target"
    assert uplift.qini()[0] > response.qini()[0] + 0.01


@pytest.mark.parametrize("outcome", ["visit", pytest.param("conversion", marks=pytest.mark.drill)])
def test_hillstrom_recipients_of_the_mens_mail_are_not(outcome):
    """The mail works, and on everyone about alike."""
    trial = hillstrom("Mens E-Mail", outcome)

    choice = choose(trial, {"DR-learner": cross_fit(DRLearner, trial, seed=7)}, seed=7)

    assert choice.decision == "all"
    assert choice.explanation.startswith("no evidence that choosing recipients helps")
