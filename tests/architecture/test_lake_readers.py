"""Who reads the lake: it holds everything for ever, so those whose work it is, and nobody else."""

from tests.architecture.test_folders import MODULES, imports_of

READERS = {
    "mesh.lake": "itself",
    "mesh.cli.operations": "names the lake of a rebuild",
    "mesh.operations.rebuild": "gives projections the past",
    "mesh.operations.rebuild_past": "gives projections the past",
    "ml.clickstream": "trains",
    "ml.training": "trains",
    "notifications.rehearsal.past": "rehearses journeys with the past",
    "services.demo.bench.lake": "measures",
    "services.lake": "writes it",
}


def test_the_lake_is_read_by_those_whose_work_it_is():
    """A further reader stands in this list and in decision 70."""
    users = {module for module in MODULES if any(name.startswith("mesh.lake.") for name in imports_of(module))}

    strangers = {one for one in users if not any(one == known or one.startswith(f"{known}.") for known in READERS)}
    idle = {known for known in READERS if not any(one == known or one.startswith(f"{known}.") for one in users)}

    assert strangers == set()
    assert idle == set()
