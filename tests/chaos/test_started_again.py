"""A mesh that is started again where it was finds everything, also while its streams still elect leaders."""

from mesh.runtime.local_servers import LocalServers
from mesh.topology.mesh_toml import Topology


async def test_what_has_no_leader_yet_is_not_taken_for_absent(tmp_path):
    """The second start of three servers changes nothing: streams that did not answer at once are waited for."""
    async with LocalServers(Topology.of(["us"], nodes=3), tmp_path) as servers:
        first = servers.applied

    async with LocalServers(Topology.of(["us"], nodes=3), tmp_path) as servers:
        again = servers.applied

    assert {difference.verb for difference in first} == {"create"}
    assert again == []
