"""Variables that nothing reads are named, with what was meant."""

from mesh.runtime import unknown_settings as module
from mesh.runtime.unknown_settings import unknown_settings


def test_a_setting_that_nothing_reads_is_named_with_the_nearest_one():
    """Of settings, passwords of services and families of names; other programs' variables are none of ours."""
    environment = {
        "CARTMESH_ABANDON_AFTR": "3s",
        "CARTMESH_ABANDON_AFTER": "3s",
        "CARTMESH_CARTS_PASSWORD": "x",
        "CARTMESH_LOYALTY_POINTS_PASSWORD": "x",
        "CARTMESH_NATS_URL_EU": "tls://nats:4222",
        "CARTMESH_QUITE_ANOTHER_WORD": "1",
        "HOME": "/root",
    }

    found = list(unknown_settings(environment, ["carts", "loyalty-points"]))

    assert found == [
        "CARTMESH_ABANDON_AFTR is set, and nothing reads it; did you mean CARTMESH_ABANDON_AFTER?",
        "CARTMESH_QUITE_ANOTHER_WORD is set, and nothing reads it",
    ]


def test_without_such_variables_no_source_is_read(monkeypatch):
    """It takes a second of every start."""
    monkeypatch.setattr(module, "settings_of", lambda _: 1 / 0)

    assert list(unknown_settings({"HOME": "/root"}, [])) == []
