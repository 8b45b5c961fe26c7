"""Variables: every setting that the code reads, found in its source, so that a deployment can refuse one it does not.

A setting is a field of a struct that some module gives to `read(...)` (mesh.settings), or a variable that stands in
the code as it is. A name that ends in `_` stands for all that begin with it.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

_variable = re.compile(r"CARTMESH_([A-Z0-9]+(?:_[A-Z0-9]+)*_?)", re.ASCII).fullmatch
_KINDS = {"timedelta": "duration", "int": "integer", "float": "number", "bool": "flag"}
_reads = re.compile(r"\bread\([A-Z]|CARTMESH_").search


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting: its name in lower case, its type and default as they are written, its struct and its docstring."""

    name: str
    type: str = ""
    default: str = ""
    struct: str = ""
    description: str = ""


def settings_of(packages: Iterable[str]) -> tuple[Setting, ...]:
    """Every setting that modules of these packages read; one that several structs have is there as often."""
    source = _Source(packages)
    found: set[Setting] = set()
    for module in source.reading():
        nodes = list(ast.walk(source.tree(module)))
        found |= {Setting(name=name) for name in _literals(nodes)}
        for home, struct in _read(module, nodes):
            found |= set(_fields(home, source.tree(home), struct))
    return tuple(sorted(found, key=lambda one: (one.struct, one.name)))


def kinds(settings: Iterable[Setting]) -> dict[str, str]:
    """Setting -> what its text must be (duration, integer, number, flag), where every struct that has it agrees."""
    found: dict[str, set[str]] = {}
    for one in settings:
        if one.struct:
            found.setdefault(one.name, set()).add(_KINDS.get(one.type.removesuffix(" | None"), ""))
    return {name: kind for name, (kind, *others) in sorted(found.items()) if kind and not others}


def page(settings: Iterable[Setting]) -> str:
    """The settings in Markdown, struct by struct."""
    lines = []
    for struct, group in groupby(settings, lambda one: one.struct):
        if struct:
            members = list(group)
            lines += [f"## `{struct}`", "", members[0].description, "", "| setting | type | default |", "|---|---|---|"]
            lines += [f"| `{one.name}` | `{_cell(one.type)}` | {_code(one.default)} |" for one in members]
            lines.append("")
    return "\n".join(lines)


class _Source:
    """The modules of some packages; each is parsed when it is asked for."""

    def __init__(self, packages: Iterable[str]) -> None:
        self._texts = dict(_texts(packages))
        self._trees: dict[str, ast.Module] = {}

    def reading(self) -> list[str]:
        """The modules that may read a setting."""
        return [module for module, text in self._texts.items() if _reads(text)]

    def tree(self, module: str) -> ast.Module:
        """A module's syntax; an empty one where the module is not of these packages."""
        if module not in self._trees:
            self._trees[module] = ast.parse(self._texts.get(module, ""))
        return self._trees[module]


def _texts(packages: Iterable[str]) -> Iterator[tuple[str, str]]:
    for package in sorted(packages):
        spec = find_spec(package)
        for root in map(Path, (spec and spec.submodule_search_locations) or ()):
            for path in sorted(root.rglob("*.py")):
                parts = path.relative_to(root).with_suffix("").parts
                name = ".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts)))
                yield name, path.read_text(encoding="utf-8")


def _literals(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := _variable(node.value)):
            yield found[1].lower()


def _read(module: str, nodes: Sequence[ast.AST]) -> Iterator[tuple[str, str]]:
    """Module and name of each struct that a module reads, wherever it is declared."""
    origins = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in nodes:
        # With a second argument it is not the environment that is read.
        if isinstance(node, ast.Call) and _is_read(node.func) and len(node.args) == 1:
            (struct,) = node.args
            if isinstance(struct, ast.Name):
                yield origins.get(struct.id, (module, struct.id))


def _is_read(called: ast.expr) -> bool:
    if isinstance(called, ast.Attribute):
        return called.attr == "read" and isinstance(called.value, ast.Name) and called.value.id == "settings"
    return isinstance(called, ast.Name) and called.id == "read"


def _fields(module: str, tree: ast.Module, struct: str) -> Iterator[Setting]:
    for declared in tree.body:
        if isinstance(declared, ast.ClassDef) and declared.name == struct:
            description = " ".join((ast.get_docstring(declared) or "").split())
            for node in declared.body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    yield Setting(
                        name=node.target.id,
                        type=ast.unparse(node.annotation),
                        default=ast.unparse(node.value) if node.value else "",
                        struct=f"{module}.{struct}",
                        description=description,
                    )


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
