"""A service does not start with a secret that anybody could know; a mesh on one machine makes its own."""

import pytest

from mesh.errors import DeclarationError
from mesh.runtime.discovery import discover
from mesh.runtime.worker import run_until_stopped
from mesh.topology.derive.environments import environments
from mesh.topology.derive.servers import users
from mesh.topology.derive.services import secrets_of
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import Secrets, secret_settings, settings_as_variables

SERVICES = discover()
TOPOLOGY = Topology.of(["us", "eu"])
GOOD = "p0123456789abcdef"


@pytest.mark.parametrize(
    ("service", "missing"),
    [
        ("links", "CARTMESH_SECRET"),
        ("offers", "CARTMESH_SECRET"),
        ("channels", "CARTMESH_SECRET"),
        ("offers", "CARTMESH_ADDRESS_SECRET"),
        ("channels", "CARTMESH_ADDRESS_SECRET"),
        ("identity", "CARTMESH_ADDRESS_SECRET"),
        ("gateway", "CARTMESH_ADDRESS_SECRET"),
        ("webhooks", "CARTMESH_WEBHOOK_SIGNING_SECRET"),
    ],
)
@pytest.mark.parametrize("given", [None, "cartmesh-on-a-laptop"])
def test_a_service_does_not_start_without_its_secrets(service, missing, given, monkeypatch, tmp_path):
    """`cartmesh run` refuses before it connects to anything, and names the service, the variable and what to do."""
    for name in ("CARTMESH_SECRET", "CARTMESH_ADDRESS_SECRET", "CARTMESH_WEBHOOK_SIGNING_SECRET"):
        monkeypatch.setenv(name, GOOD)
    monkeypatch.delenv(missing)
    if given:
        monkeypatch.setenv(missing, given)
    monkeypatch.setenv("CARTMESH_NATS_URL", "nats://127.0.0.1:1")
    topology = tmp_path / "mesh.toml"
    topology.write_text("[regions.us]\nnodes = 1\n")

    with pytest.raises(DeclarationError, match=f"{service} does not start: {missing} .*it must be a random text"):
        run_until_stopped([service], "us", None, topology)


def test_who_needs_which_secret_follows_from_the_services():
    """The gateway computes the digests of addresses for the service that it hosts."""
    found = {service.name: secrets_of(service, SERVICES) for service in SERVICES if secrets_of(service, SERVICES)}

    assert found == {
        "channels": ("address_secret", "secret"),
        "gateway": ("address_secret",),
        "identity": ("address_secret",),
        "links": ("secret",),
        "mail-reports": ("address_secret", "secret"),
        "offers": ("address_secret", "secret"),
        "orders": ("address_secret",),
        "studio": ("address_secret",),
        "webhooks": ("webhook_signing_secret",),
    }


def test_a_mesh_keeps_random_secrets_of_its_own(tmp_path):
    """The same after another start, others in another folder: what one machine seals opens on no other."""
    one, again, other = (
        settings_as_variables(Secrets.kept(tmp_path / name, {}, settings=secret_settings(SERVICES)), SERVICES)
        for name in ("one.json", "one.json", "other.json")
    )

    assert one == again
    assert one.keys() == {"CARTMESH_SECRET", "CARTMESH_ADDRESS_SECRET", "CARTMESH_WEBHOOK_SIGNING_SECRET"}
    assert len({*one.values(), *other.values()}) == 6
    assert (tmp_path / "one.json").stat().st_mode & 0o777 == 0o600


def test_a_deployment_is_given_the_same_secrets_in_every_region(tmp_path):
    """As keys of the chart's Secret and as variables of processes, beside the passwords."""
    kept = Secrets.kept(tmp_path / "s.json", users(TOPOLOGY, SERVICES), settings=secret_settings(SERVICES))

    made = environments(TOPOLOGY, SERVICES, kept)

    for region in ("us", "eu"):
        assert (
            made[region]["settings.secret"] == made[f"{region}-services"]["CARTMESH_SECRET"] == kept.setting("secret")
        )
        assert made[region]["settings.address_secret"] == kept.setting("address_secret")
        assert "CARTMESH_SECRET" not in made[f"{region}-servers"]
