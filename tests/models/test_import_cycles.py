"""Modules of ml import one another in one direction."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import ml

ROOT = Path(ml.__file__).parent
MODULES = {
    ".".join(("ml", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}


def imported(tree):
    """Modules of ml that are imported anywhere in a module, but for what only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            whole = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            yield from whole or {node.module} & MODULES.keys()
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & MODULES.keys()
        yield from imported(node)


def test_no_module_imports_itself_through_others():
    """Nor by an import within a function, which only hides a cycle."""
    graph = {name: set(imported(ast.parse(path.read_text()))) for name, path in MODULES.items()}

    order = list(TopologicalSorter(graph).static_order())  # CycleError names the modules of a cycle

    assert graph["ml.training.recipes"] > {"ml.training.result"}
    assert order.index("ml.training.result") < order.index("ml.training.recipes")
