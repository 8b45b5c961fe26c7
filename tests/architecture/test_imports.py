"""Dependencies point at the mesh: read from the source, so that also what is imported late is seen."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for top in ("mesh", "services", "ml", "notifications") for path in (ROOT / top).rglob("*.py"))
FORBIDDEN = {
    "mesh": {"services", "ml", "notifications"},
    "services": {"ml", "notifications", "nats"},
    "ml": {"services", "notifications", "nats"},
    "notifications": {"services", "ml", "nats"},
}
VAGUE = {"utils", "util", "helpers", "common", "base", "manager", "misc"}
LONGEST = 450


def imported(path):
    """Every module that a file imports, with its dots."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def place(path):
    return path.relative_to(ROOT)


def unit(path):
    """The service that a file of `services/` belongs to: `carts`, `operations.board`; all of `demo` is one."""
    parts = module_of(path).split(".")
    return ".".join(parts[1:3] if parts[1:2] == ["operations"] else parts[1:2])


def module_of(path):
    """A file's dotted name."""
    return ".".join(place(path).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(place(path)))
def test_packages_know_the_mesh_and_not_each_other(path):
    """`mesh` knows nobody; the others know `mesh`; only `mesh` knows the broker's client."""
    forbidden = FORBIDDEN[place(path).parts[0]]

    assert [name for name in imported(path) if name.partition(".")[0] in forbidden] == []


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if place(path).parts[0] == "services"], ids=lambda path: str(place(path))
)
def test_services_never_import_their_siblings(path):
    """They talk by events."""
    own = f"services.{unit(path)}"
    foreign = [name for name in imported(path) if name.startswith("services.") and f"{name}.".find(f"{own}.") != 0]

    assert foreign == []


def test_names_say_what_a_module_is():
    """No module is called after its being useful."""
    assert [place(path) for path in SOURCES if VAGUE & {path.stem, *place(path).parts[:-1]}] == []


def test_modules_are_split_by_meaning():
    """None is longer than 450 lines, and half are shorter than 120."""
    lengths = {place(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}

    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}
    assert sorted(lengths.values())[len(lengths) // 2] < 120


def test_every_module_says_what_it_is():
    """In a docstring, unless there is nothing in it."""
    texts = {place(path): path.read_text(encoding="utf-8") for path in SOURCES}

    assert [path for path, text in texts.items() if text.strip() and not ast.get_docstring(ast.parse(text))] == []
