"""What may be written in mesh.toml, and what every mistake in it says."""

from datetime import timedelta
from pathlib import Path

import pytest

from mesh.errors import TopologyError
from mesh.topology.mesh_toml import Topology
from mesh.topology.regions import Link, Region

TWO = """
[regions.us]
nodes = 3
time_zone = "America/New_York"
residency = ["US", "CA"]

[regions.eu]
residency = ["DE"]

[[links]]
from = "eu"
to = "us"
"""


def test_what_is_written_is_what_it_is():
    """Regions in their order, links with their direction, durations as durations."""
    topology = Topology.parse(TWO + '\n[retention]\ncommerce = "90d"\ninteractions = "7d"\n')

    assert topology.names == ("us", "eu")
    assert topology.links == (Link(dialer="eu", listener="us"),)
    assert (topology.commerce, topology.interactions) == (timedelta(days=90), timedelta(days=7))
    assert topology.region("us").servers == ("us-1", "us-2", "us-3")
    assert (topology.home("CA"), topology.home("JP")) == ("us", None)
    assert topology.others("us") == ("eu",)


def test_the_mesh_of_this_repository_is_sound():
    """`mesh.toml` at the root loads: three regions of three servers, a full mesh."""
    topology = Topology.load(Path(__file__).parents[2] / "mesh.toml")

    assert [(region.name, region.nodes) for region in topology.regions] == [("us", 3), ("eu", 3), ("ap", 3)]
    assert len(topology.links) == 3


def test_a_part_keeps_the_links_between_its_regions():
    """Two regions of three keep the one link between them; the number of servers can be another."""
    part = Topology.of().only("us", "ap", nodes=1)

    assert part.links == (Link(dialer="ap", listener="us"),)
    assert [region.nodes for region in part.regions] == [1, 1]


def test_copies_are_never_more_than_servers():
    """A region of one server keeps one copy, one of three keeps three."""
    topology = Topology(
        regions=(Region(name="us", nodes=1), Region(name="eu")), links=(Link(dialer="eu", listener="us"),)
    )

    assert (topology.replicas_in("us"), topology.replicas_in("eu")) == (1, 3)


def test_a_domain_is_given_a_stream_of_its_own():
    """Its events leave the commerce stream; all other domains stay there."""
    layout = Topology.parse(TWO + '[streams.stock]\ndomains = ["stock", "price"]\nkeep = "40d"').layout

    homes = [layout.family_of_domain(domain).name for domain in ("stock", "price", "cart", "interaction")]
    assert homes == ["STOCK", "STOCK", "COMMERCE", "INTERACTIONS"]
    kept = {family.name: family.keep.days for family in layout.atomic}
    assert kept == {"COMMERCE": 400, "OPERATIONS": 400, "STOCK": 40}
    assert layout.family_of_domain("stock", personal=True) == layout.personal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "missing required field `regions`"),
        ("[regions]", "there is no region"),
        ("[regions.us]\n[regions.us]", "twice"),
        (TWO.replace('["DE"]', '["US"]'), "regions 'us' and 'eu' overlap: both are home to US"),
        (TWO.replace('["DE"]', '["Germany"]'), "residency 'Germany' is no ISO 3166 code"),
        (TWO.replace("regions.eu", "regions.EU"), "region name 'EU': 1 to 16 of a-z and 0-9"),
        (TWO.replace("regions.eu", 'regions."e.u"'), r"region name 'e\.u'"),
        (TWO.replace("regions.eu", 'regions."eu>"'), "region name 'eu>'"),
        (TWO.replace("nodes = 3", "nodes = 2"), "nodes = 2: write 1, 3, 5, 7 or 9.*two survive none"),
        (TWO.replace("nodes = 3", "nodes = 0"), "nodes = 0"),
        (TWO.replace("nodes = 3", 'nodes = "three"'), r"Expected `int`, got `str`.*regions"),
        (TWO.replace("nodes = 3", "node = 3"), "unknown field `node`.*Known here: nodes, time_zone, residency"),
        (TWO.replace("America/New_York", "America/Nowhere"), "time_zone = 'America/Nowhere': write an IANA name"),
        (TWO.replace("America/New_York", "../etc"), "time_zone"),
        (
            TWO.replace('to = "us"', 'to = "mars"'),
            "link eu -> mars ends in 'mars', which is no region; there are us, eu",
        ),
        (TWO.replace('to = "us"', 'to = "eu"'), "joins a region with itself"),
        (TWO.replace('to = "us"', ""), "missing required field `to`"),
        (TWO.replace('to = "us"', 'to = "us"\nvia = "x"'), "unknown field `via`.*Known here: from, to"),
        (TWO + '[[links]]\nfrom = "us"\nto = "eu"', "linked twice"),
        (TWO[: TWO.index("[[links]]")], 'us and eu are not linked.*add .*from = "eu" to = "us"'),
        (TWO + '[retention]\ncommerce = "soon"', "retention.commerce: 'soon' is no duration"),
        (TWO + '[retention]\ncommerce = "5m"', "retention.commerce must be between 1d and 3660d"),
        (TWO + '[retention]\ncommerce = "10d"', "retention.interactions is longer than retention.commerce"),
        (TWO + "[retention]\nbooks = 3", "unknown field `books`.*Known here: commerce, interactions"),
        (TWO + "[streams.stock]\nkeep = '9d'", "missing required field `domains`"),
        (TWO + "[streams.stock]\ndomains = []", r'takes no domain: write domains = \["stock"\]'),
        (TWO + '[streams.stock]\ndomains = ["stock"]\nkeep = "5m"', "streams.stock.keep must be between 1d and 3660d"),
        (TWO + '[streams.mesh]\ndomains = ["stock"]', "streams.mesh: .*none of the mesh's own"),
        (TWO + '[streams.clicks]\ndomains = ["interaction"]', "the events of interaction are interactions"),
        (
            TWO + '[streams.a]\ndomains = ["stock"]\n[streams.b]\ndomains = ["stock"]',
            "streams.a and streams.b both take stock",
        ),
        ("replicas = 2\n" + TWO, "replicas = 2: JetStream keeps 1, 3 or 5"),
        ("region = 2\n" + TWO, "unknown field `region`.*Known here: regions, links, replicas, retention"),
        ("this is no toml", "Expected '='"),
    ],
)
def test_every_mistake_says_what_to_write_instead(text, said):
    """An error names the file, the place and what would be right."""
    with pytest.raises(TopologyError, match=f"(?s)^mesh.toml: .*{said}"):
        Topology.parse(text)


def test_a_file_that_is_not_there(tmp_path):
    """The error names the path."""
    with pytest.raises(TopologyError, match=r"cannot read .*nowhere\.toml"):
        Topology.load(tmp_path / "nowhere.toml")


def test_an_unknown_region_is_named():
    """Asking for a region that is not there lists those that are."""
    with pytest.raises(TopologyError, match="no region 'mars'; there are us, eu, ap"):
        Topology.of().only("mars")


def test_a_region_twice_is_refused():
    """Also where a topology is made in code."""
    with pytest.raises(TopologyError, match="'us' is written twice"):
        Topology.of(["us", "us"])
