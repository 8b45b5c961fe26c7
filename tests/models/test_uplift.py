"""Uplift: what chance gave is learnt from, and what cannot be known is not claimed."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from mesh.money import Money
from ml.features import digest, names
from ml.models.artifact import ArtifactRefused, Plain, pack, unpack
from ml.models.basis_expansion import BasisExpansion, fitted
from ml.models.class_transformation import ClassTransformation
from ml.models.dr_learner import DRLearner
from ml.models.offer_advice import Adviser
from ml.models.t_learner import TLearner
from ml.training.offer_assignments import COLUMNS
from ml.training.result import ServingVersion, TrainingRequest
from ml.training.uplift import fit, learn
from notifications.decision_input import DecisionInput
from notifications.journeys import Journey
from notifications.margin import choose_discount, margin_gain

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = 86_400.0
ARMS = ("none", "0", "10")


class Shop:
    """A shop whose shoppers buy with probability `base`, and `lift(taste, discount)` more when offered something."""

    def __init__(self, lift, *, base=0.2, seed=1):
        self.lift, self.base, self.rng = lift, base, np.random.default_rng(seed)

    def people(self, count):
        """Rows of features; the first is their taste, 0 or 1."""
        rows = self.rng.normal(size=(count, len(names())))
        rows[:, 0] = self.rng.random(count) < 0.5
        return rows

    def chance(self, taste, arm):
        return self.base + (0.0 if arm == "none" else self.lift(taste, int(arm)))

    def log(self, count, *, chances=(1 / 3, 1 / 3, 1 / 3)):
        """Decisions by allocation, one per minute, with what came of them."""
        rows = self.people(count)
        drawn = self.rng.choice(len(ARMS), size=count, p=chances)
        decisions = []
        for at, (row, which) in enumerate(zip(rows, drawn, strict=True)):
            bought = self.rng.random() < self.chance(row[0], ARMS[which])
            decisions.append(
                (
                    f"v{at}",
                    NOW + timedelta(minutes=at),
                    ARMS[which],
                    chances[which],
                    chances[0],
                    digest(),
                    row.tolist(),
                    60.0 if bought else None,
                    10 * DAY,
                )
            )
        return pl.DataFrame(decisions, schema=COLUMNS, orient="row")


def helps(taste, discount):
    return 0.25 + 0.002 * discount if taste else -0.02


@pytest.fixture(scope="module")
def learnt():
    return learn(Shop(helps).log(4000), now=NOW)


def test_where_some_are_changed_and_others_not_recipients_are_chosen(learnt):
    """The interval lies above zero; advice distinguishes the two, about as they are."""
    changed, unmoved = np.zeros((1, len(names()))), np.zeros((1, len(names())))
    changed[0, 0] = 1.0

    (yes,), (no,) = learnt.adviser.advise(changed), learnt.adviser.advise(unmoved)

    assert (learnt.better, yes.decision) == (True, "target")
    assert "choosing recipients helps" in learnt.reason
    assert learnt.version.figures["qini_low"] > 0
    assert [shape.feature for shape in learnt.version.shapes] == list(names())
    assert yes.arms[0].purchase - yes.unaided == pytest.approx(0.25, abs=0.08)
    assert no.arms[0].purchase - no.unaided == pytest.approx(-0.02, abs=0.08)
    assert yes.unaided == pytest.approx(0.2, abs=0.08)
    assert [arm.discount_percent for arm in yes.arms] == [0, 10]


def test_choosing_by_margin_beats_sending_to_all_and_to_none(learnt):
    """On shoppers that were never seen, by what they truly do: the best of both, at every discount."""
    shop = Shop(helps, seed=2)
    rules = Journey(name="j", template="t", discount_depths=(0, 10), margin_percent=30, contact_cost=("2.00 EUR",))
    total = Money(amount=10_000, currency="EUR")
    people = shop.people(500)

    def worth(row, depth):
        if depth is None:
            return shop.chance(row[0], "none") * 30
        return shop.chance(row[0], str(depth)) * (30 - depth) - 2

    chosen = 0.0
    for row, advice in zip(people, learnt.adviser.advise(people), strict=True):
        inputs = DecisionInput(cart="left", cart_detail="", due=NOW, total=total, person="p", advice=advice)
        chosen += worth(row, choose_discount(inputs, rules).percent)

    everyone = max(sum(worth(row, depth) for row in people) for depth in (0, 10))
    assert chosen > everyone + 100  # EUR, of 500 carts
    assert chosen > sum(worth(row, None) for row in people) + 100


def test_where_all_are_changed_alike_there_is_no_evidence_and_all_are_advised_alike():
    """No evidence that choosing helps; on average it does: everyone has the average's figures."""
    outcome = learn(Shop(lambda _, discount: 0.1 + 0.005 * discount).log(3000), now=NOW)

    advice = outcome.adviser.advise(Shop(helps).people(20))

    assert outcome.better
    assert outcome.reason.startswith("no evidence that choosing recipients helps")
    assert outcome.reason.endswith("sending to all")
    assert {one.decision for one in advice} == {"all"}
    assert len({one.arms for one in advice}) == 1
    assert [arm.purchase for arm in advice[0].arms] == pytest.approx([0.3, 0.35], abs=0.05)


@pytest.mark.drill
def test_where_nothing_changes_anyone_nothing_pays():
    """Enough is known to say so: no arm promises more than none, so that no journey sends."""
    outcome = learn(Shop(lambda _, __: 0.0, base=0.1).log(6000), now=NOW)

    (advice,) = outcome.adviser.advise(np.zeros((1, len(names()))))

    assert (outcome.better, advice.decision) == (True, "none")
    assert outcome.reason.endswith("sending to nobody")
    rules = Journey(name="j", template="t", discount_depths=(0, 10))
    assert all(margin_gain(Money(amount=10_000, currency="EUR"), rules, advice, depth) <= 0 for depth in (0, 10))


def test_from_few_carts_no_effect_is_no_finding():
    """Unknown is not the same as nothing: the journeys go on as they are."""
    outcome = learn(Shop(lambda _, __: 0.01).log(1200), now=NOW)

    assert (outcome.better, outcome.adviser) == (False, None)
    assert outcome.reason.startswith("not known yet whether offers change anything")


@pytest.mark.drill
def test_unequal_chances_are_weighed():
    """Few without an offer, many with ten percent: the average effect is still what it is."""
    outcome = learn(Shop(lambda _, __: 0.15).log(4000, chances=(0.2, 0.2, 0.6)), now=NOW)

    assert outcome.choice.effect.average == pytest.approx(0.15, abs=0.05)
    assert outcome.choice.decision == "all"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda rows: rows.clear(), "no offer was decided yet"),
        (lambda rows: rows.with_columns(withheld=0.0, probability=1.0), "set explore (such as 0.1) or holdout"),
        (lambda rows: rows.filter(pl.col("arm") != "none"), "0 carts without an offer"),
        (lambda rows: rows.filter(pl.col("arm") == "none"), "0 carts with an offer"),
        (lambda rows: rows.head(300), "200 is the least"),
        (lambda rows: rows.with_columns(waited=None), "0 were bought"),
        (lambda rows: rows.with_columns(waited=1.0), "at least 20 must and 20 must not"),
        (lambda rows: rows.with_columns(observed=1.0), "none is old enough"),
        (lambda rows: rows.with_columns(features_digest=pl.lit("other")), "none was scored on today's features"),
        (lambda rows: rows.with_columns(probability=float("nan")), "none is old enough"),
    ],
)
def test_what_teaches_nothing_says_so(spoil, words):
    """In words, and nothing is changed."""
    rows = spoil(Shop(helps).log(1000)).cast(COLUMNS)

    outcome = learn(rows, now=NOW, horizon=timedelta(days=1))

    assert (outcome.better, outcome.version, outcome.adviser) == (False, None, None)
    assert words in outcome.reason
    assert outcome.judge(None).artifact is None


def test_unknown_and_infinite_features_do_no_harm():
    """What was not known of a cart, or makes no sense, counts as the average."""
    rows = Shop(helps).log(1500)
    holes = [
        [float("nan"), float("inf"), *values[2:]] if at % 7 == 0 else values for at, values in enumerate(rows["values"])
    ]
    outcome = learn(rows.with_columns(values=pl.Series(holes)), now=NOW)

    advised = outcome.adviser.advise(np.full((1, len(names())), np.nan)) + outcome.adviser.advise(
        np.full((1, len(names())), np.inf)
    )

    assert all(0 <= arm.purchase <= 1 for advice in advised for arm in advice.arms)


def test_only_a_visitors_first_cart_counts():
    """Later ones depend on what chance gave before, and one purchase would count twice."""
    rows = Shop(helps).log(300)
    twice = pl.concat([rows, rows.with_columns(at=pl.col("at") + pl.duration(hours=1))])

    found = [learn(one, now=NOW, horizon=timedelta(days=1)).rows for one in (rows, twice)]

    assert found == [300, 300]


def test_an_adviser_is_stored_as_numbers_and_advises_the_same(learnt):
    """Through the artifact and back: the same words, the same probabilities."""
    rows = Shop(helps, seed=5).people(50)

    again = Adviser.of(unpack(pack(learnt.adviser.plain()), kind="uplift", features=names()))

    assert again.advise(rows) == learnt.adviser.advise(rows)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda parts: parts["texts"].update(decision="perhaps"),
        lambda parts: parts["texts"].update(scale="loud"),
        lambda parts: parts["arrays"].pop("effect"),
        lambda parts: parts["arrays"].pop("basis_mean"),
        lambda parts: parts["arrays"].update(basis_source=parts["arrays"]["basis_source"] + 10_000),
        lambda parts: parts["arrays"].update(unaided=parts["arrays"]["unaided"][:, 1:]),
        lambda parts: parts["arrays"].update(depths=np.array([10.0, 5.0])),
        lambda parts: parts["arrays"].update(steps=np.array([3.0, 3.0])),
        lambda parts: parts["numbers"].update(average=1.5),
        lambda parts: parts["numbers"].pop("pooled"),
    ],
)
def test_unsound_numbers_are_refused(learnt, spoil):
    """Before they serve, not while."""
    plain = learnt.adviser.plain()
    parts = {"texts": dict(plain.texts), "numbers": dict(plain.numbers), "arrays": dict(plain.arrays)}
    spoil(parts)

    with pytest.raises(ArtifactRefused):
        Adviser.of(Plain(kind=plain.kind, features=plain.features, **parts))


def test_the_same_log_teaches_nothing_new():
    """Judged against itself it is not accepted; against another it is, with its artifact."""
    rows = Shop(helps).log(1500)
    outcome = fit(rows, TrainingRequest(by="tests", at=NOW, called="u1"))
    other = ServingVersion(
        version=outcome.version.__class__(**{**_fields(outcome.version), "data_hash": "x"}), artifact=None
    )

    same = outcome.judge(ServingVersion(version=outcome.version, artifact=None))

    assert (same.accepted, same.artifact) == (False, None)
    assert same.reason.startswith("nothing new to learn: u1")
    assert outcome.judge(other).accepted
    assert outcome.judge(None).artifact


def _fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def test_advising_needs_no_scikit_learn():
    """Nor polars: a serving process keeps its memory for shoppers."""
    code = "import sys, ml.models.offer_advice; sys.exit(bool({'sklearn', 'polars', 'scipy.stats'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("learner", [TLearner, ClassTransformation, DRLearner])
def test_every_learner_finds_the_effect_and_serves_as_numbers(learner):
    """On a plain trial each orders people as they are changed."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6000, 3))
    treated = (rng.random(6000) < 0.5).astype(float)
    labels = (rng.random(6000) < 0.2 + 0.3 * treated * (rows[:, 0] > 0)).astype(float)

    model = learner().fit(rows, labels, treated, share=np.full(6000, 0.5))

    uplift = model.predict(rows)
    assert uplift[rows[:, 0] > 0.5].mean() > uplift[rows[:, 0] < -0.5].mean() + 0.1
    assert np.isfinite(uplift).all()
    assert learner(**model.get_params()).get_params() == model.get_params()


def test_the_dr_learner_takes_a_difference_that_does_not_show_for_none():
    """Noise alone: everyone has the same effect, to the last digit."""
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(3000, 10))
    treated = (rng.random(3000) < 0.5).astype(float)
    labels = (rng.random(3000) < 0.2 + 0.1 * treated).astype(float)

    uplift = DRLearner().fit(rows, labels, treated, share=np.full(3000, 0.5)).predict(rows)

    assert np.ptp(uplift) == 0
    assert uplift[0] == pytest.approx(0.1, abs=0.03)


def test_a_basis_is_standardised_knows_kinds_and_stays_within_what_was_seen():
    """Mean 0 and scale 1 on its own rows; constants have no term; what is beyond is cut, what is unknown is average."""
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.exponential(size=500), rng.integers(0, 3, 500), np.ones(500)])

    basis = fitted(rows)

    terms = basis.rows(rows)
    assert set(basis.source.tolist()) == {0, 1}
    assert np.allclose(terms.mean(axis=0), 0)
    assert np.allclose(terms.std(axis=0), 1)
    assert np.abs(basis.rows(np.array([[1e300, 99.0, 5.0], [-1e300, -9.0, 0.0]]))).max() < 10
    assert not basis.rows(np.full((1, 3), np.nan)).any()
    assert np.array_equal(BasisExpansion.of(basis.arrays(), features=3).rows(rows), terms)
