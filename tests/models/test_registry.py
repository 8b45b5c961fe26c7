"""The registry is one truth per model: changed whole or not at all, whoever changes it at the same moment."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.events.model import ModelPromoted, ModelStaged, ModelTrained
from ml.lifecycle.admission import admit
from ml.lifecycle.registry import MODELS, NoSuchVersion, NotNow, Registry, Superseded
from ml.lifecycle.version import Current, Metrics, Version, takes_part
from ml.training.result import TrainingResult

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
METRICS = Metrics(rows=1000, base_rate=0.2, auc=0.7, pr_auc=0.5, brier=0.15, ece=0.01)


def a_version(name, *, minute=0, accepted=True):
    return Version(
        name="propensity",
        version=name,
        trained_at=NOW + timedelta(minutes=minute),
        window=(NOW, NOW),
        horizon_seconds=60.0,
        rows=1,
        data_hash=name,
        features=("views",),
        metrics=METRICS,
        accepted=accepted,
        gate="as a test wishes",
        trained_by="a test",
    )


@pytest.fixture
def mesh():
    return Mesh(MemoryMesh("us").broker("us"), "training")


@pytest.fixture
def models(mesh):
    return Registry(mesh, keep=3)


async def with_versions(models, *names):
    for at, name in enumerate(names):
        await models.add(a_version(name, minute=at), name.encode())


async def test_a_candidate_takes_over_and_the_one_before_can_come_back(mesh, models):
    """Shadow, canary, promotion and rollback are one entry's revisions, and each is published."""
    await with_versions(models, "a", "b")
    await models.promote("propensity", "a", "first", at=NOW)
    await models.stage("propensity", "b", "shadow", "new", at=NOW)
    await models.stage("propensity", "b", "canary", "bold", share=0.1, at=NOW)
    await models.promote("propensity", "b", "better", at=NOW)
    await models.roll_back("propensity", "regret", at=NOW)

    current = await models.current("propensity")
    assert current == Current(version="a", reason="regret", promoted_at=NOW, previous="b", versions=("a", "b"))
    promoted = [(one.event.version, one.event.replaced, one.event.reason) async for one in mesh.read(ModelPromoted)]
    assert promoted == [("a", None, "first"), ("b", "a", "better"), ("a", "b", "regret")]
    staged = [(one.event.version, one.event.stage, one.event.share) async for one in mesh.read(ModelStaged)]
    assert staged == [("b", "shadow", 0.0), ("b", "canary", 0.1)]


async def test_what_makes_no_sense_is_refused_and_changes_nothing(models):
    """Each refusal says how things stand."""
    await with_versions(models, "a", "b")
    with pytest.raises(NotNow, match="nothing served propensity before now"):
        await models.roll_back("propensity", "")
    with pytest.raises(NotNow, match="nothing serves propensity yet"):
        await models.stage("propensity", "b", "canary", "", share=0.5)
    await models.promote("propensity", "a", "first", at=NOW)
    before = await models.current("propensity")

    with pytest.raises(NotNow, match="a serves propensity already"):
        await models.promote("propensity", "a", "")
    with pytest.raises(NotNow, match="cannot be tried beside itself"):
        await models.stage("propensity", "a", "shadow", "")
    with pytest.raises(NotNow, match="between 0 and 1, not 1"):
        await models.stage("propensity", "b", "canary", "", share=1.0)
    with pytest.raises(NotNow, match="no version of propensity is tried"):
        await models.withdraw("propensity", "")
    with pytest.raises(NoSuchVersion, match="no version 'x' of propensity is registered; there are a, b"):
        await models.promote("propensity", "x", "")
    with pytest.raises(NoSuchVersion, match="nothing is known of a model 'uplift'; models: propensity"):
        await models.promote("uplift", "x", "")

    assert await models.current("propensity") == before


async def test_the_shelf_keeps_the_newest_and_what_is_needed(mesh, models):
    """Beyond three loose versions the oldest goes, file and all; what serves, served or is tried stays."""
    await with_versions(models, "a", "b", "c")
    await models.promote("propensity", "a", "", at=NOW)
    await models.promote("propensity", "b", "", at=NOW)
    await models.stage("propensity", "c", "shadow", "", at=NOW)

    for at, name in enumerate("defgh"):
        await models.add(a_version(name, minute=10 + at), b"")

    assert [version.version for version in await models.versions("propensity")] == ["a", "b", "c", "f", "g", "h"]
    assert {name.split(".")[1] for name in await mesh.objects(MODELS).names()} == set("abcfgh")


async def test_of_two_operators_at_once_one_gets_superseded(models):
    """Both looked at the same entry; one change holds whole, the other did not happen."""
    await with_versions(models, "a", "b", "c")
    await models.promote("propensity", "a", "", at=NOW)
    _, seen = await models.entry("propensity")

    results = await asyncio.gather(
        models.promote("propensity", "b", "mine", at=NOW, seen=seen),
        models.promote("propensity", "c", "no, mine", at=NOW, seen=seen),
        models.stage("propensity", "c", "shadow", "a third one", at=NOW, seen=seen),
        return_exceptions=True,
    )

    lost = [result for result in results if isinstance(result, Superseded)]
    (won,) = [result for result in results if isinstance(result, Current)]
    assert len(lost) == 2
    assert await models.current("propensity") == won
    assert "somebody changed propensity meanwhile" in str(lost[0])


async def test_two_rollbacks_at_once_roll_back_once(models):
    """The second would have undone the first."""
    await with_versions(models, "a", "b")
    await models.promote("propensity", "a", "", at=NOW)
    await models.promote("propensity", "b", "", at=NOW)
    _, seen = await models.entry("propensity")

    results = await asyncio.gather(
        *(models.roll_back("propensity", "", seen=seen) for _ in range(2)), return_exceptions=True
    )

    assert sum(isinstance(result, Superseded) for result in results) == 1
    assert (await models.current("propensity")).version == "a"


async def test_versions_that_are_added_at_once_are_all_kept(mesh):
    """Adding is no decision: nobody has to look again."""
    models = Registry(mesh)

    await asyncio.gather(*(models.add(a_version(f"v{n}", minute=n), b"") for n in range(8)))

    assert {version.version for version in await models.versions("propensity")} == {f"v{n}" for n in range(8)}
    assert len([1 async for _ in mesh.read(ModelTrained)]) == 8


async def test_of_two_trainers_at_once_one_serves_and_the_other_is_tried(mesh):
    """Both found nothing serving; the later one is judged again, against the winner."""
    judged = []

    def trainer(name):
        async def judge(running):
            await asyncio.sleep(0)  # both are judging before either is admitted
            judged.append((name, running.version.version if running else None))
            return TrainingResult(
                accepted=True,
                reason="fine",
                rows=1,
                bought=1,
                against=running.version.version if running else None,
                version=a_version(name),
                artifact=name.encode(),
            )

        return judge

    admitted = await asyncio.gather(*(admit(mesh, trainer(name), "propensity", "usual") for name in ("a", "b")))

    current = await Registry(mesh).current("propensity")
    assert sorted(one.place for one in admitted) == ["serves", "shadow"]
    assert {current.version, current.candidate.version} == {"a", "b"}
    assert (current.candidate.version, current.version) in judged
    assert [one.event.version async for one in mesh.read(ModelPromoted)] == [current.version]


async def test_what_did_not_pass_stands_on_the_shelf_only(mesh, models):
    """It can be looked at, and forced."""

    async def judge(running):
        version = a_version("bad", accepted=False)
        return TrainingResult(accepted=False, reason="worse", rows=1, bought=1, version=version, artifact=b"bad")

    admitted = await admit(mesh, judge, "propensity", "promote")

    current = await models.current("propensity")
    assert (admitted.place, current.version, current.candidate) == ("registered", None, None)
    assert [(one.event.accepted, one.event.version) async for one in mesh.read(ModelTrained)] == [(False, "bad")]
    assert (await models.promote("propensity", "bad", "", forced=True)).version == "bad"


async def test_a_change_whose_process_died_is_published_later(mesh, models):
    """The registry knows it; `announce` says it once."""
    await with_versions(models, "a", "b")
    before, revision = await models.entry("propensity")
    await mesh.state(_current()).put("propensity", _promoted(before, "a"), revision=revision)

    for _ in range(3):
        await models.announce("propensity")

    assert [(one.event.version, one.event.reason) async for one in mesh.read(ModelPromoted)] == [("a", "silently")]


def _current():
    from ml.lifecycle.registry import CURRENT

    return CURRENT


def _promoted(before, version):
    from msgspec.structs import replace

    return replace(before, version=version, reason="silently", promoted_at=NOW)


def test_a_share_of_carts_is_the_same_carts_for_ever():
    """Who belongs to a canary is fixed by the cart's id alone; a larger share holds every smaller one."""
    carts = [f"cart-{n}" for n in range(4000)]

    tenth = {cart for cart in carts if takes_part(cart, 0.1)}
    half = {cart for cart in carts if takes_part(cart, 0.5)}

    assert tenth <= half
    assert abs(len(tenth) / len(carts) - 0.1) < 0.02
    assert [cart for cart in carts[:40] if takes_part(cart, 0.1)] == ["cart-20", "cart-36"]
    assert not any(takes_part(cart, 0.0) for cart in carts)
    assert all(takes_part(cart, 1.0) for cart in carts)


def test_an_entry_of_the_first_release_is_still_read():
    """Entries that know no candidate and no versions say who serves."""
    import msgspec

    old = b'{"version":"v1","reason":"better","promoted_at":"2026-03-02T12:00:00Z"}'

    assert msgspec.json.decode(old, type=Current) == Current(version="v1", reason="better", promoted_at=NOW)
