"""What marketers do with `cartmesh journeys` and `cartmesh templates`, on a real server with an operator's rights."""

import asyncio
import shutil

import pytest
import pytest_asyncio
from cyclopts import App

from mesh.errors import DeclarationError
from mesh.runtime.local_servers import LocalServers
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from notifications.cli import commands
from notifications.documents.seeding import seed
from notifications.journeys.kind import JOURNEYS
from notifications.mail_reports import service as mail_reports
from notifications.offers import service as offers
from notifications.studio import service as studio
from notifications.templates import FOLDER
from notifications.templates.kind import TEMPLATES

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cartmesh(tmp_path_factory):
    """Runs a command on a region whose documents are the ones that come with Cartmesh."""
    folder = tmp_path_factory.mktemp("servers")
    app = App(name="cartmesh", result_action="return_value")
    commands(app)
    async with LocalServers(Topology.of(["us"], nodes=1), services=(offers, studio, mail_reports)) as servers:
        servers.access.write(folder / "servers.json")
        mesh = await connect(servers.access, "us", "offers")
        for kind in (TEMPLATES, JOURNEYS):
            await seed(kind, "", mesh)

        async def run(*words):
            line = [*map(str, words), "--servers", str(folder / "servers.json")]
            await asyncio.to_thread(app, line, exit_on_error=False, print_error=False)

        yield run
        await mesh.broker.drain()


async def test_a_journey_is_published_compared_and_put_back(cartmesh, tmp_path, capsys):
    """The list warns of files that differ; the history has every revision with its author."""
    file = tmp_path / "abandoned-cart.toml"
    file.write_text('template = "abandoned-cart"\ncap = 7\n')

    await cartmesh("journeys", "publish", file, "--author", "ada")
    await cartmesh("journeys", "list")
    await cartmesh("journeys", "show", "abandoned-cart")
    await cartmesh("journeys", "diff", "abandoned-cart", 0)
    await cartmesh("journeys", "revert", "abandoned-cart", 0, "--author", "grace")
    await cartmesh("journeys", "history", "abandoned-cart")

    printed = capsys.readouterr().out
    assert "abandoned-cart: revision 1 is in force in us" in printed
    assert "by ada in us; its files in Cartmesh differ, and are not used" in printed
    assert 'template = "abandoned-cart"\ncap = 7\n' in printed
    assert "\n-cap = 3\n" in printed
    history = printed.splitlines()[-3:]
    assert [line.split()[1] for line in history] == ["2", "1", "0"]
    assert history[0].endswith("by grace in us  in force")
    assert history[2].endswith("by seed in us  replaced")


async def test_a_template_is_published_from_its_folder(cartmesh, tmp_path, capsys):
    """And shown with all its files."""
    shutil.copytree(FOLDER / "abandoned-cart", tmp_path / "spring-sale")

    await cartmesh("templates", "publish", tmp_path / "spring-sale")
    await cartmesh("templates", "list")
    await cartmesh("templates", "show", "spring-sale")

    printed = capsys.readouterr().out
    assert "spring-sale: revision 1 is in force in us" in printed
    listed = [line.split()[0] for line in printed.splitlines() if " UTC by " in line]
    assert listed == sorted([*TEMPLATES.read_folder(""), "spring-sale"])
    assert {f"==> {locale}.mjml.j2 <==" for locale in ("de", "en", "ja")} <= set(printed.splitlines())


async def test_a_draft_is_looked_at_and_published(cartmesh, tmp_path, capsys):
    """The status shows what it would change."""
    file = tmp_path / "winter.toml"
    file.write_text('template = "abandoned-cart"\ncap = 1\n')
    await cartmesh("journeys", "publish", file, "--author", "ada")
    file.write_text('template = "abandoned-cart"\ncap = 5\n')

    await cartmesh("journeys", "draft", file, "--author", "grace")
    await cartmesh("journeys", "list")
    await cartmesh("journeys", "status", "winter")
    await cartmesh("journeys", "publish-draft", "winter", "--author", "ada")
    await cartmesh("journeys", "status", "winter")

    printed = capsys.readouterr().out
    assert "by ada in us; draft by grace" in printed
    assert "begun on revision 1\n" in printed
    assert "-cap = 1\n+cap = 5\n" in printed
    assert "winter: revision 2 is in force in us" in printed
    assert printed.endswith("UTC\nno draft\n")


async def test_a_mistake_is_refused_with_what_to_do(cartmesh, tmp_path):
    """A field or template that is not there names the nearest; so does a document's name."""
    file = tmp_path / "sale.toml"

    file.write_text('template = "abandoned-cart"\ndiscont = 5\n')
    with pytest.raises(DeclarationError, match="unknown discont"):
        await cartmesh("journeys", "publish", file)
    file.write_text('template = "abandoned-car"\n')
    with pytest.raises(DeclarationError, match="did you mean abandoned-cart"):
        await cartmesh("journeys", "publish", file)
    with pytest.raises(DeclarationError, match="did you mean abandoned-cart"):
        await cartmesh("journeys", "show", "abandonned-cart")
    with pytest.raises(DeclarationError, match="no revision 9; it has"):
        await cartmesh("journeys", "show", "abandoned-cart", "--revision", 9)
    with pytest.raises(DeclarationError, match="a template is a folder"):
        await cartmesh("templates", "publish", file)
