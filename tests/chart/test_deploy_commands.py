"""`cartmesh mesh certs`, `mesh secrets` and `mesh render --for helm`, as an operator calls them."""

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def cartmesh(*words):
    return subprocess.run(
        [sys.executable, "-m", "mesh.cli", "mesh", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        cwd=ROOT,
    )


def test_passwords_and_certificates_are_made_for_every_region(tmp_path):
    """Keys and passwords are their owner's alone; a second time passwords and the authority stay."""
    for _ in range(2):
        made = [cartmesh("certs", "--dir", str(tmp_path)), cartmesh("secrets", "--dir", str(tmp_path))]
        assert [ran.returncode for ran in made] == [0, 0], made
        kept = {name: (tmp_path / name).read_text() for name in ("ca.crt", "eu.env", "secrets.json")}

    assert kept == {name: (tmp_path / name).read_text() for name in kept}
    secret = [path for path in tmp_path.rglob("*") if path.suffix in (".key", ".env", ".json")]
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"us", "eu", "ap", "client"}
    keys = dict(line.split("=", 1) for line in kept["eu.env"].splitlines())
    assert {"gateway", "operator", "sys", "leaf_ap", "us.leaf_eu", "settings.secret"} < keys.keys()
    assert "settings.address_secret" in keys
    assert all(value[0].isalpha() for value in keys.values())


def test_passwords_are_changed_in_two_steps(tmp_path):
    """First those that nobody uses, then who uses which; the Secret's keys for both are there all the time."""
    made = [cartmesh("secrets", "--dir", str(tmp_path), *options) for options in ((), ("--renew",), ("--switch",))]

    assert [ran.returncode for ran in made] == [0, 0, 0], made
    assert "second logins are used: secrets.login is 'next'" in made[-1].stdout
    keys = dict(line.split("=", 1) for line in (tmp_path / "eu.env").read_text().splitlines())
    assert {"offers", "offers.next", "us.leaf_eu", "us.leaf_eu.next"} < keys.keys()
    services = dict(line.split("=", 1) for line in (tmp_path / "eu-services.env").read_text().splitlines())
    assert services["CARTMESH_NATS_LOGIN"] == "next"
    assert services["CARTMESH_OFFERS_PASSWORD"] == keys["offers.next"]


def test_passwords_are_all_written_where_nobody_reads_the_answer(tmp_path):
    """A command that is cut short, as by `head`, would leave two ends of a link with different passwords."""
    assert cartmesh("secrets", "--dir", str(tmp_path)).returncode == 0
    before = (tmp_path / "us.env").read_text()
    command = [sys.executable, "-u", "-m", "mesh.cli", "mesh", "secrets", "--dir", str(tmp_path), "--renew"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as ran:
        ran.stdout.close()

    ends = [
        dict(line.split("=", 1) for line in (tmp_path / f"{region}.env").read_text().splitlines())
        for region in ("us", "eu")
    ]
    assert (tmp_path / "us.env").read_text() != before
    assert ends[0]["leaf_eu.next"] == ends[1]["us.leaf_eu.next"]


def test_what_the_running_release_cannot_read_is_not_deployed(tmp_path):
    """The hook's check: against the schemas of the release before; where there is none, all is well."""
    first = cartmesh("check", "--folder", str(tmp_path))
    running = (ROOT / "deploy" / "chart" / "derived" / "schemas.json").read_text()
    assert '"order_id": {\n' in running
    (tmp_path / "schemas.json").write_text(running.replace('"order_id": {\n', '"number": {\n'))

    ran = cartmesh("check", "--folder", str(tmp_path))

    assert first.returncode == 0, first.stdout
    assert ran.returncode == 1
    assert "field number was removed" in ran.stdout


def test_values_for_the_chart_of_nats_are_printed():
    """As YAML that any reader takes; a region that does not exist, or half of the question, is refused."""
    printed = cartmesh("render", "--region", "eu", "--for", "helm", "--store", "200Gi")
    unknown = cartmesh("render", "--region", "mars", "--for", "helm")
    half = cartmesh("render", "--region", "eu")
    banana = cartmesh("render", "--region", "eu", "--for", "helm", "--store", "banana")

    assert printed.returncode == 0, printed.stderr
    assert yaml.safe_load(printed.stdout)["config"]["jetstream"]["fileStore"]["pvc"]["size"] == "200Gi"
    assert (unknown.returncode, half.returncode) == (1, 1)
    assert "there is no region 'mars'; there are us, eu, ap" in unknown.stderr
    assert banana.returncode == 1
    assert "--store banana: write the size of each server's disk as 200Gi or 1Ti" in banana.stderr
    assert "write both: --region NAME --for helm" in half.stderr
