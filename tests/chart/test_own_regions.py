"""Regions of one's own: one mesh.toml for the chart, for the values of NATS and for commands, with no image rebuilt."""

import hashlib

import pytest
import yaml

from mesh.cli import app
from mesh.errors import TopologyError
from mesh.topology.derive.helm import nats_values
from mesh.topology.mesh_toml import Topology

MESH = """\
replicas = 3
tls = true

[regions.north]
nodes = 5
leafnode_address = "nats.north.tea.example.org:7422"

[regions.south]
nodes = 1

[[links]]
from = "south"
to = "north"
"""
OWN = {"region": "north", "mesh": MESH, "nats": {"urls": ["tls://nats:4222"]}}
ELSEWHERE = {"services": {"gateway": {"route": {"hosts": []}}, "links": {"route": {"hosts": []}}}}

WRONG = {
    "no region": ("replicas = 3\n[regions]\n", "there is no region: write [regions.us]"),
    "a name that is no token": (MESH.replace("south", "So-uth"), "1 to 16 of a-z and 0-9, beginning with a letter"),
    "an even number of servers": (MESH.replace("nodes = 5", "nodes = 4"), "write 1, 3, 5, 7 or 9"),
    "a typo in a region": (MESH.replace("nodes = 5", "node = 5"), "nodes, time_zone, residency, leafnode_address"),
    "a link to no region": (MESH.replace('to = "north"', 'to = "mars"'), "which is no region; there are north, south"),
    "a link to itself": (MESH.replace('to = "north"', 'to = "south"'), "itself: remove it"),
    "a link twice": (
        MESH + '[[links]]\nfrom = "north"\nto = "south"\n',
        "linked twice: one link carries both directions",
    ),
    "a region that is linked to nothing": (MESH + "[regions.west]\n", "so neither would receive the other's events"),
    "a host that is none": (MESH.replace(":7422", ""), "write the host and port that other regions dial"),
}


def test_the_chart_runs_regions_of_ones_own(chart):
    """Pods read the operator's mesh.toml, also the hook, and restart when it changes; its hosts are its own."""
    made = chart("eu", OWN | ELSEWHERE)

    assert {name: made["ConfigMap", name]["data"]["mesh.toml"] for name in ("mesh", "apply")} == {
        "mesh": MESH,
        "apply": MESH,
    }
    pod = made["Deployment", "carts"]["spec"]["template"]
    assert pod["metadata"]["annotations"]["cartmesh/mesh"] == hashlib.sha256(MESH.encode()).hexdigest()
    assert pod["metadata"]["labels"]["cartmesh/region"] == "north"
    assert {"name": "mesh", "mountPath": "/etc/cartmesh/mesh", "readOnly": True} in pod["spec"]["containers"][0][
        "volumeMounts"
    ]


def test_a_region_is_one_of_those_that_are_given(refusal):
    """Its own regions are known instead of the chart's, and so is whose host is whose."""
    unknown = refusal(OWN | ELSEWHERE | {"region": "eu"})
    elsewhere = refusal(OWN | {"region": "south", "console": {"hosts": ["console.north.tea.example.org"]}} | ELSEWHERE)

    assert 'region "eu" does not exist: there are north, south (mesh.toml)' in unknown
    assert "console.hosts: console.north.tea.example.org belongs to region north (mesh.toml)" in elsewhere


@pytest.mark.parametrize("what", WRONG)
def test_a_mesh_that_cannot_work_is_refused_by_the_chart_and_by_commands(refusal, what):
    """In the same words: neither servers nor pods are ever made of it."""
    text, words = WRONG[what]

    with pytest.raises(TopologyError) as refused:
        Topology.parse(text)
    assert words in str(refused.value)
    assert words in refusal(OWN | ELSEWHERE | {"mesh": text})


def test_the_values_of_nats_come_from_the_same_file(tmp_path, capsys, refusal):
    """Domain, servers and links; a region that is dialed nowhere is refused by both."""
    path = tmp_path / "mesh.toml"
    path.write_text(MESH)

    def rendered(region):
        words = ["mesh", "render", "--region", region, "--for", "helm", "--file", str(path)]
        app("mesh")(words, result_action="return_value")
        return yaml.safe_load(capsys.readouterr().out)

    north, south = nats_values(Topology.load(path), [], "north"), rendered("south")
    path.write_text(MESH.replace("leafnode_address", "#"))
    with pytest.raises(TopologyError) as refused:
        rendered("south")

    assert north["config"]["cluster"]["replicas"] == 5
    assert north["config"]["jetstream"]["merge"]["domain"] == "north"
    assert "CARTMESH_NORTH_LEAF_SOUTH_URL" in south["container"]["env"]
    assert "region 'north' has no leafnode_address" in str(refused.value)
    assert "mesh.regions.north.leafnode_address is missing" in refusal(OWN | ELSEWHERE | {"mesh": path.read_text()})


def test_what_runs_is_that_of_the_same_mesh(tmp_path):
    """A release's own permissions.json knows other regions: what runs here would lose its rights in an upgrade."""
    own, other = tmp_path / "mesh.toml", tmp_path / "permissions.json"
    own.write_text(MESH)
    other.write_text('{"regions": {"us": {}, "eu": {}}}')
    words = ["mesh", "render", "--region", "north", "--for", "helm", "--file", str(own), "--before", str(other)]

    with pytest.raises(TopologyError, match=r"has no region north, only us, eu\. With the release that runs"):
        app("mesh")(words, result_action="return_value")
