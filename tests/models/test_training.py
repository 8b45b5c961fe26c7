"""A model is registered only if it beats what serves, and only as numbers that cannot run."""

import io
import zipfile
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from msgspec import structs

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.model import ModelPromoted
from ml.clickstream.steps import Step
from ml.features import names
from ml.lifecycle.admission import serving
from ml.lifecycle.registry import Registry
from ml.models.artifact import MOST_PARTS, MOST_UNPACKED, ArtifactRefused, pack, unpack, unpack_in_child_process
from ml.models.propensity import PropensityClassifier
from ml.models.propensity_serving import Model
from ml.training import dataset, propensity
from ml.training.metrics import calibration_error, measure
from ml.training.propensity import read
from ml.training.result import ServingVersion, TrainingRequest
from ml.training.run import register

ORDER = TrainingRequest(by="a test", at=datetime(2026, 2, 1, tzinfo=UTC), horizon=timedelta(hours=1))


@pytest.fixture(scope="module")
def shop():
    """Steps of 900 visitors: who looks at a product twice buys it more often."""
    rng, start = np.random.default_rng(3), datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    shoppers = {}
    for visitor in range(900):
        at, steps = start + visitor * 1200.0, []
        keen = rng.random() < 0.4
        for view in range(int(rng.integers(2, 9))):
            at += float(rng.exponential(40))
            product = "p0" if keen else f"p{rng.integers(0, 50)}"
            steps.append(Step(at, f"v{view}", "view", f"s{visitor}", product, 10.0))
        cart = Step(at + 5, "z1", "cart", f"s{visitor}", cart_lines=1, cart_value=10.0, products=("p0",))
        steps.append(cart)
        if rng.random() < (0.8 if keen else 0.1):
            steps.append(Step(at + 60, "z2", "purchase", f"s{visitor}", products=("p0",)))
        shoppers[f"u{visitor}"] = steps
    return dataset.with_moments(dataset.frame(shoppers))


@pytest.fixture(scope="module")
def outcome(shop):
    return propensity.fit(shop, ORDER)


def running(fitted, **changes):
    """The fitted model as it would serve, with changes to what is known of its version."""
    learnt = fitted.judge(None)
    return ServingVersion(version=structs.replace(learnt.version, **changes), artifact=learnt.artifact)


def test_a_model_that_beats_the_base_rates_passes(outcome):
    """A log with something to learn gives a model that ranks and is honest, and words that say so."""
    learnt = outcome.judge(None)

    assert learnt.accepted
    assert learnt.reason.startswith("closer to what happened than the base rates")
    assert learnt.version.metrics.auc > 0.8
    assert learnt.version.metrics.ece < 0.1
    assert learnt.version.metrics.brier < learnt.running.brier
    assert learnt.version.features == names()
    assert (learnt.version.accepted, learnt.version.gate) == (True, learnt.reason)


def test_the_same_data_again_teaches_nothing(outcome):
    """No version is made of what the running model was learnt from."""
    again = outcome.judge(running(outcome, version="old"))

    assert (again.accepted, again.version, again.against) == (False, None, "old")
    assert again.reason == "nothing new to learn: old, which serves, was learnt from the same data"


def test_an_equal_model_of_newer_data_passes(outcome):
    """The running model is scored on the same rows; within the tolerances the newer one may be tried."""
    judged = outcome.judge(running(outcome, version="old", data_hash="other"))

    assert judged.accepted
    assert judged.reason.startswith("as good as the running model old (")
    assert judged.running == outcome.metrics


def test_a_model_that_runs_on_other_features_is_compared_by_its_record(outcome):
    """What cannot be scored any more is judged by what it was measured at, and the verdict says so."""
    better = structs.replace(outcome.metrics, auc=0.99, brier=outcome.metrics.brier / 2)

    old = running(outcome, version="old", features=("one",)).version

    worse = outcome.judge(ServingVersion(version=structs.replace(old, metrics=better), artifact=b"of another release"))
    gone = outcome.judge(ServingVersion(version=old, artifact=None))

    assert not worse.accepted
    assert "worse than the running model old, which runs on other features: it ranks worse" in worse.reason
    assert gone.accepted
    assert "runs on other features" in gone.reason


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({}, "the log holds 0 moments"),
        ({"v": [Step(1.0, "1", "view", "s")]}, "the log holds 0 moments whose outcome is known"),
        (
            {f"v{n}": [Step(n * 60.0, f"{n}.{m}", "view", f"s{n}") for m in range(2)] for n in range(300)},
            "0 ended in a purchase; at least 20 must",
        ),
        (
            {
                f"v{n}": [Step(n * 60.0, f"{n}a", "view", f"s{n}"), Step(n * 60.0 + 1, f"{n}b", "purchase", f"s{n}")]
                for n in range(500)
            },
            "ended in a purchase; at least 20 must and 20 must not",
        ),
    ],
    ids=["empty", "one event", "nobody buys", "everybody buys"],
)
def test_a_log_that_cannot_teach_says_what_it_lacks(made, why):
    """Nothing is learnt, no version is made, and the reason is in words."""
    learnt = propensity.fit(dataset.frame(made), ORDER).judge(None)

    assert (learnt.accepted, learnt.version) == (False, None)
    assert why in learnt.reason


def test_training_is_repeatable(shop, outcome):
    """The same log gives the same model and the same data hash."""
    again = propensity.fit(shop, ORDER)

    assert again.version == outcome.version
    assert np.array_equal(again.model.trees.value, outcome.model.trees.value)


def test_a_stored_model_is_the_same_model(outcome):
    """What was packed and unpacked scores the same."""
    rows = np.random.default_rng(1).uniform(0, 100, (50, len(names())))

    again = Model.of(unpack(pack(outcome.model.plain()), kind="propensity", features=names()))

    assert np.array_equal(again.score(rows), outcome.model.score(rows))


@pytest.mark.timeout(300)
async def test_a_child_process_reads_the_same_model(outcome):
    """The serving process gets the model without scikit-learn in its own memory."""
    rows = np.random.default_rng(1).uniform(0, 100, (50, len(names())))

    again = Model.of(await unpack_in_child_process(pack(outcome.model.plain()), kind="propensity", features=names()))

    assert np.array_equal(again.score(rows), outcome.model.score(rows))


def evil():
    import pickle

    return pickle.dumps(print)


def untrusted():
    from skops.io import dumps

    return dumps({"model": PropensityClassifier()})


def changed(outcome, **changes):
    return pack(structs.replace(outcome.model.plain(), **changes))


def with_array(outcome, name, change):
    plain = outcome.model.plain()
    return changed(outcome, arrays={**plain.arrays, name: change(plain.arrays[name])})


def of_format(number, outcome):
    from skops.io import dumps

    plain = structs.asdict(outcome.model.plain())
    return dumps({"format": number, **plain, "features": list(plain["features"])})


def without_trees(outcome):
    plain = outcome.model.plain()
    of_trees = ("feature", "threshold", "unknown_left", "value")
    return changed(outcome, arrays={**plain.arrays, **{name: plain.arrays[name][:0] for name in of_trees}})


def zipped(parts):
    """A small file that is large once it is unpacked."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def infinite(array):
    array = array.copy()
    array[0, -1] = np.inf
    return array


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _: evil(), "a pickle"),
        (lambda _: b"", "no skops file"),
        (lambda _: b"PK nonsense", "cannot be read"),
        (lambda outcome: pack(outcome.model.plain())[:-300], "cannot be read"),
        (lambda _: untrusted(), "untrusted types: ml.models.propensity.PropensityClassifier"),
        (lambda outcome: changed(outcome, features=names()[1:]), f"made for other features .*: {names()[0]}"),
        (lambda outcome: changed(outcome, features=names()[::-1]), "their order"),
        (lambda outcome: changed(outcome, kind="uplift"), "of the kind 'uplift', not 'propensity'"),
        (lambda outcome: of_format(1, outcome), "its format is 1, and this release reads format 2"),
        (lambda outcome: changed(outcome, arrays={}), "'knots' is missing"),
        (lambda outcome: changed(outcome, numbers={}), "'baseline' is missing"),
        (lambda outcome: with_array(outcome, "feature", lambda array: array + 10_000), "features that there are not"),
        (lambda outcome: with_array(outcome, "value", lambda array: array[:, :-1]), "do not fit together"),
        (lambda outcome: with_array(outcome, "value", infinite), "'value' is not finite"),
        (lambda outcome: with_array(outcome, "knots", infinite), "'knots' is not finite"),
        (lambda outcome: with_array(outcome, "knots", lambda array: array[::-1] - 1), "does not rise from 0 towards 1"),
        (without_trees, "holds no trees"),
        (lambda _: zipped({"schema.json": b" " * (MOST_UNPACKED + 1)}), "are the most"),
        (lambda _: zipped({f"{part}.npy": b"" for part in range(MOST_PARTS + 1)}), "are the most"),
    ],
    ids=[
        "pickle",
        "empty",
        "nonsense",
        "truncated",
        "untrusted",
        "other features",
        "other order",
        "other kind",
        "other format",
        "no arrays",
        "no numbers",
        "out of bounds",
        "other shape",
        "infinite",
        "infinite calibration",
        "falling calibration",
        "no trees",
        "too large unpacked",
        "too many parts",
    ],
)
def test_what_is_no_model_of_ours_is_refused(make, why, outcome):
    """A file that could run code, is damaged or does not fit is refused with the reason."""
    with pytest.raises(ArtifactRefused, match=why):
        Model.of(unpack(make(outcome), kind="propensity", features=names()))


def test_what_could_not_be_read_again_is_not_stored(outcome):
    """NaN and words where numbers belong are refused before they reach the registry."""
    with pytest.raises(ArtifactRefused, match="'baseline' is not finite"):
        changed(outcome, numbers={"baseline": float("nan")})
    with pytest.raises(ArtifactRefused, match="'value' is not finite"):
        with_array(outcome, "value", lambda array: array * np.nan)
    with pytest.raises(ArtifactRefused, match="'value' does not hold numbers"):
        with_array(outcome, "value", lambda array: array.astype(str))


async def test_registering_keeps_the_version_and_says_so(outcome):
    """A registered model can be read back with its metadata; an event says which version serves and why."""
    mesh = Mesh(MemoryMesh("us").broker("us"), "training")

    admitted = await register(mesh, outcome)

    learnt, models = outcome.judge(None), Registry(mesh)
    assert admitted.place == "serves"
    assert (await models.current("propensity")).version == outcome.version.version
    assert await models.versions("propensity") == [learnt.version]
    assert read(await serving(mesh, "propensity")).features == names()
    promoted = [received.event async for received in mesh.read(ModelPromoted)]
    assert [(one.version, one.reason) for one in promoted] == [(outcome.version.version, learnt.reason)]


def test_calibration_error_is_the_gap_between_said_and_seen():
    """Saying 25 % where 50 % happen is an error of 0.25."""
    labels, said = np.array([1.0, 0.0, 1.0, 0.0]), np.full(4, 0.25)

    assert calibration_error(labels, said) == 0.25
    assert measure(labels[:0], said[:0]) is None
    assert measure(np.ones(3), np.ones(3)).auc is None


def test_points_of_one_session_are_never_on_both_sides(shop):
    """The sessions that a model is judged on all began after those it was fitted on."""
    rows = dataset.points(shop, horizon=timedelta(hours=1))

    old, middle, new = propensity._split(rows)

    assert old["start"].max() < middle["start"].min() <= middle["start"].max() < new["start"].min()
    assert len(old) + len(middle) + len(new) == len(rows)
    assert pl.concat([old, middle, new])["at"].len() == len(rows)
