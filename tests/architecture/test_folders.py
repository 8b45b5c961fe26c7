"""Who may import whom between the folders of `mesh/`, and that no modules import each other in a circle."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for top in ("mesh", "services", "ml", "notifications") for path in (ROOT / top).rglob("*.py"))
LANGUAGE = "mesh"
"""The modules that stand directly in `mesh/`: what a service author reads."""
MAY_IMPORT = {
    "broker": {LANGUAGE, "observability"},
    "events": {LANGUAGE},
    "observability": {LANGUAGE},
    "topology": {LANGUAGE, "broker", "observability", "events", "web"},
    "operations": {LANGUAGE, "broker", "observability", "topology", "events", "lake"},
    "shop_logs": {LANGUAGE},
    "lake": {LANGUAGE, "broker"},
    "web": {LANGUAGE, "broker", "observability", "events"},
    "runtime": {LANGUAGE, "broker", "observability", "topology", "operations", "web", "events"},
    "cli": {LANGUAGE, "broker", "observability", "topology", "operations", "web", "runtime", "events", "lake"},
    LANGUAGE: {"broker", "observability", "events"},
}
"""What each folder may import besides itself. `broker` and `observability` are further bound by `VALUES`."""
VALUES = {"errors", "event", "masking", "money", "settings", "streams", "subjects"}
"""What `broker` and `observability` may know of the language: values, never the mesh that is built on them."""


def module_of(path):
    """A file's dotted name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def folder_of(module):
    """The folder of `mesh/` that a module stands in; `mesh` for those that stand in none."""
    parts = module.split(".")
    is_folder = len(parts) > 2 or (ROOT / "mesh" / parts[-1] / "__init__.py").exists()
    return parts[1] if is_folder and len(parts) > 1 else LANGUAGE


MODULES = {module_of(path): path for path in SOURCES}


@cache
def imports_of(module):
    """The modules of this repository that a module imports, early or late; not what only a type checker reads."""
    found = set()
    for node in import_statements(module):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        else:
            inner = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in MODULES else node.module for name in inner}
    return {name for name in found if name in MODULES and name != module}


def is_for_types(node):
    """Whether a statement is one of `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def import_statements(module, *, for_types=False):
    """A module's statements that import; with `for_types` also those that only a type checker reads."""
    found, nodes = [], [ast.parse(MODULES[module].read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        elif not isinstance(node, ast.expr) and (for_types or not is_for_types(node)):
            nodes.extend(ast.iter_child_nodes(node))
    return tuple(found)


def test_no_modules_import_each_other_in_a_circle():
    """Not even by an import inside a function."""
    circle = []
    try:
        TopologicalSorter({module: imports_of(module) for module in MODULES}).prepare()
    except CycleError as error:
        circle = error.args[1]

    assert circle == []


@pytest.mark.parametrize("module", [name for name in MODULES if name.partition(".")[0] == "mesh"])
def test_a_folder_imports_what_it_may(module):
    """The folders of `mesh/` know each other in one direction only."""
    own = folder_of(module)

    foreign = {name: folder_of(name) for name in imports_of(module) if name.partition(".")[0] == "mesh"}

    assert {name for name, folder in foreign.items() if folder != own and folder not in MAY_IMPORT[own]} == set()


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith(("mesh.broker", "mesh.observability"))])
def test_what_is_below_knows_only_values(module):
    """The broker and what a process reports know events and streams, never the mesh that uses them."""
    known = {name for name in imports_of(module) if name.partition(".")[0] == "mesh" and folder_of(name) == LANGUAGE}

    assert {name.removeprefix("mesh.") for name in known} - VALUES == set()


def test_only_the_broker_knows_nats():
    """`nats-py` is imported in `mesh/broker` and nowhere else."""
    users = set()
    for module in MODULES:
        for node in import_statements(module, for_types=True):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
            if any(name.partition(".")[0] == "nats" for name in names):
                users.add(module)

    assert {module for module in users if not module.startswith("mesh.broker.")} == set()
