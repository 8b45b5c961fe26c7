"""The settings that the code reads, found in its source."""

from mesh.topology.derive.variables import Setting, page, settings_of

CODE = {
    "__init__.py": "",
    "rates.py": """
class RateSettings(msgspec.Struct):
    '''How many | how often.'''

    most: int = 3
    names: tuple[str, ...] | None = None

class Unread(msgspec.Struct):
    never: int = 0
""",
    "app.py": """
from mesh import settings
from shop.rates import RateSettings as Rates
from elsewhere import Foreign

FAMILY = "CARTMESH_JOURNEY_"

class Own(msgspec.Struct):
    secret: str

def build(given):
    level = os.environ.get("CARTMESH_LOG_LEVEL", "INFO")
    words = f"set CARTMESH_IN_WORDS to something"
    return settings.read(Rates), read(Own), read(Foreign), read(Unread, given), stream.read(Own)
""",
}


def test_a_setting_is_a_field_of_a_struct_that_is_read(tmp_path, monkeypatch):
    """Wherever the struct is declared; other structs, files and words in sentences are none."""
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, text in CODE.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))

    found = settings_of(["shop"])

    assert found == (
        Setting(name="journey_"),
        Setting(name="log_level"),
        Setting(name="secret", type="str", struct="shop.app.Own"),
        Setting(
            name="most", type="int", default="3", struct="shop.rates.RateSettings", description="How many | how often."
        ),
        Setting(
            name="names",
            type="tuple[str, ...] | None",
            default="None",
            struct="shop.rates.RateSettings",
            description="How many | how often.",
        ),
    )
    assert "| `names` | `tuple[str, ...] \\| None` | `None` |" in page(found)


def test_what_the_project_reads_is_found():
    """Of every package, without importing what is heavy."""
    names = {one.name for one in settings_of(["mesh", "notifications", "services"])}

    assert {"abandon_after", "write_keys", "smtp_host", "nats_ca", "journey_", "log_level"} <= names
    assert "never" not in names
