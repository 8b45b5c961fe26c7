"""What operators do with models, on a real server: look, try, promote, roll back; and two of them at once."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from cyclopts import App

from mesh.errors import MeshError, TopologyError
from mesh.events.cart import CartAbandoned, CartLine, CartScored
from mesh.events.model import ModelPromoted
from mesh.events.user import Evidence
from mesh.money import Money
from mesh.publish import Draft
from mesh.runtime.local_servers import LocalServers
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from ml.cli import commands
from ml.features import digest, names
from ml.lifecycle import retraining
from ml.lifecycle.registry import NoSuchVersion, NotNow, Registry, Superseded
from ml.lifecycle.version import Current, Metrics, Version
from ml.scoring import service as scoring

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
METRICS = Metrics(rows=1000, base_rate=0.2, auc=0.7123, pr_auc=0.5, brier=0.1512, ece=0.0123)


def a_version(name, **known):
    return Version(
        name="propensity",
        version=name,
        trained_at=NOW,
        window=(NOW, NOW),
        horizon_seconds=86_400.0,
        rows=1234,
        data_hash="da7a",
        features=("views", "searches"),
        metrics=METRICS,
        trained_by="a test",
        **known,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers():
    services = (scoring.service, retraining.service)
    async with LocalServers(Topology.of(["us"], nodes=1), services=services) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def models(servers):
    """An empty registry."""
    mesh = await connect(servers.access, "us", "training")
    operator = await connect(servers.access, "us", "operator")
    await operator.state(retraining.CURRENT).purge()
    yield Registry(mesh)
    await mesh.broker.drain()
    await operator.broker.drain()


@pytest.fixture
def run_command(servers, capsys):
    """Give a command; what it printed. Raises what an operator would see."""
    app = App()
    commands(app)
    file = str(servers.write_state())

    async def give(*words):
        capsys.readouterr()
        line = [*words] if words[0] == "train" else ["models", *words]
        line += ["--servers", file]
        await asyncio.to_thread(app, line, exit_on_error=False, result_action="return_value")
        return capsys.readouterr().out

    return give


async def test_looking_at_versions(models, run_command):
    """Listed with their figures and roles; one is shown whole, with the gate's words and its drift."""
    await models.add(a_version("a", gate="closer than the base rates"), b"")
    await models.add(a_version("b", accepted=False, gate="worse than a"), b"")
    await models.promote("propensity", "a", "first", at=NOW)

    listed = await run_command("list")
    (versions,) = json.loads(await run_command("list", "--json"))
    shown = await run_command("show")
    other = await run_command("show", "b")

    assert [version["version"] for version in versions["versions"]] == ["a", "b"]
    assert [line.split() for line in listed.splitlines()] == [
        ["region", "model", "version", "role", "rows", "AUC", "Brier", "ECE", "gate"],
        ["us", "propensity", "a", "serves", "1,234", "0.712", "0.1512", "0.012", "passed"],
        ["us", "propensity", "b", "-", "1,234", "0.712", "0.1512", "0.012", "not", "passed"],
    ]
    assert "propensity a serves" in shown
    assert "passed: closer than the base rates" in shown
    assert "2: views, searches" in shown
    assert "AUC 0.712, Brier 0.1512, ECE 0.012 on 1,000 rows" in shown
    assert "not measured yet" in shown
    assert "not passed: worse than a" in other


async def test_trying_and_promoting(models, run_command):
    """Each command says what is so now; what did not pass the gate needs force, and the record says that."""
    await models.add(a_version("a", gate="first"), b"")
    await models.add(a_version("b", accepted=False, gate="worse than a"), b"")

    assert await run_command("promote", "a") == "us: a serves: first\n"
    assert await run_command("shadow", "b") == "us: b is tried in shadow\n"
    with pytest.raises(NotNow, match="b did not pass the gate: worse than a"):
        await run_command("canary", "b", "--share", "0.2")
    assert "b serves 20% of the carts: forced" in await run_command("canary", "b", "--share", "0.2", "--force")
    assert "canary 20%" in await run_command("list")
    assert await run_command("withdraw") == "us: b is tried no longer\n"
    with pytest.raises(NotNow, match="did not pass the gate"):
        await run_command("promote", "b")
    assert "although the gate said: worse than a" in await run_command(
        "promote", "b", "--force", "--reason", "I know better"
    )
    assert await run_command("rollback", "--reason", "it did not") == "us: a serves again\n"

    events = [one.event async for one in models.mesh.read(ModelPromoted)][-3:]
    assert [(one.version, one.forced) for one in events] == [("a", False), ("b", True), ("a", False)]
    assert events[1].reason == "I know better: forced, although the gate said: worse than a"
    assert events[2].reason == "rolled back from b: it did not"


async def test_what_cannot_be_done_is_said(models, run_command):
    """And nothing changes."""
    assert "no versions" in await run_command("list")
    with pytest.raises(NoSuchVersion, match="nothing is known of a model 'propensity'"):
        await run_command("promote", "x")
    await models.add(a_version("a"), b"")
    for words, why in (
        (("promote", "x"), "no version 'x' of propensity is registered; there are a"),
        (("show",), "no version of propensity serves in us"),
        (("rollback",), "nothing to roll back to"),
        (("withdraw",), "no version of propensity is tried"),
        (("compare",), "no version of propensity is tried in us"),
        (("canary", "a"), "nothing serves propensity yet"),
        (("canary", "a", "--share", "7"), "between 0 and 1"),
    ):
        with pytest.raises(MeshError, match=why):
            await run_command(*words)
    with pytest.raises(TopologyError, match="there is no region 'mars'"):
        await run_command("list", "--region", "mars")
    assert await models.current("propensity") == Current(versions=("a",))


@pytest.mark.parametrize("model", ["propensity", "uplift", "recommendations"])
async def test_training_on_an_empty_log(models, run_command, model):
    """Says what is missing, ends well, and changes nothing."""
    said = await run_command("train", model, "--from-mesh")

    assert said.startswith("0 rows\nnot accepted: nothing learnt: ")
    assert await models.current(model) is None


async def test_training_that_makes_no_sense_is_refused(run_command):
    """An unknown model, two ends at once, no source."""
    for words, why in (
        (("magic", "--from-mesh"), "no model is called 'magic'; there are propensity, uplift, recommendations"),
        (("--from-mesh", "--promote", "--shadow"), "either --promote or --shadow"),
        ((), "either --from-mesh or --from FILE"),
        (("uplift", "--from", "log.parquet"), "uplift is learnt from the mesh only"),
    ):
        with pytest.raises(MeshError, match=why):
            await run_command("train", *words)


async def test_comparing_and_auditing_without_any_carts(models, run_command):
    """Empty tables, no error."""
    await models.add(a_version("a"), b"")
    await models.add(a_version("b"), b"")
    await models.promote("propensity", "a", "", at=NOW)
    await models.stage("propensity", "b", "shadow", "", at=NOW)

    (compared,) = json.loads(await run_command("compare", "--json"))
    table = await run_command("compare")
    audited = await run_command("audit")

    assert (compared["champion"], compared["candidate"], compared["scored"]) == ("a", "b", 0)
    assert "0 carts scored by both" in table
    assert audited.startswith("us: 0 scores computed again")


async def test_an_audit_that_finds_a_fault_ends_with_1(servers, models, run_command):
    """A score that the log does not give is named, and a script can tell."""
    operator = await connect(servers.access, "us", "operator")
    who, price = {"cart_id": "c1", "visitor_id": "v1"}, Money(amount=1999, currency="EUR")
    line = CartLine(product_id="p1", quantity=1, price=price)
    left = CartAbandoned(lines=(line,), total=price, left_at=NOW, due=NOW, session_id="s1", **who)
    made_up = Evidence(at=NOW, steps=0, features_digest=digest(), values=(12345.0,) * len(names()))
    scored = CartScored(
        abandonment_id="left-1",
        propensity=0.5,
        model_version="a",
        reasons=(),
        recommended=(),
        evidence=made_up,
        **who,
    )
    try:
        await operator.publish(Draft(event=left, id="left-1", time=NOW), Draft(event=scored, time=NOW))

        with pytest.raises(SystemExit) as ended:
            await run_command("audit")
    finally:
        await operator.broker.drain()

    assert ended.value.code == 1


async def test_of_operators_who_race_one_wins_each_time(servers, models):
    """On a real server, from connections of their own: one promotion per round, whole, and published once."""
    for name in "abcd":
        await models.add(a_version(name), b"")
    others = [Registry(await connect(servers.access, "us", "training")) for _ in range(3)]
    before = len([1 async for _ in models.mesh.read(ModelPromoted)])
    winners = []
    try:
        for _ in range(15):
            current, seen = await models.entry("propensity")
            rivals = [name for name in "abcd" if name != current.version][:3]
            results = await asyncio.gather(
                *(
                    one.promote("propensity", name, f"by {name}", seen=seen)
                    for one, name in zip(others, rivals, strict=True)
                ),
                return_exceptions=True,
            )
            (won,) = [result for result in results if not isinstance(result, Exception)]
            assert sum(isinstance(result, Superseded) for result in results) == 2
            assert won == await models.current("propensity")
            winners.append((won.version, won.reason))
    finally:
        for one in others:
            await one.mesh.broker.drain()

    published = [(one.event.version, one.event.reason) async for one in models.mesh.read(ModelPromoted)]
    assert published[before:] == winners
