"""New package: a service with events of its own in a package outside this repository, ready to build and to install.

The package names itself in the entry points `cartmesh.services` and `cartmesh.events`. Where it is installed beside
Cartmesh, `cartmesh up`, `mesh check`, `mesh render` and the chart take it along.
"""

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from string import Template

from mesh.errors import DeclarationError

_name = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII).fullmatch

FILES = {
    "pyproject.toml": """\
[project]
name = "$name"
version = "0.1.0"
description = "A service of Cartmesh: $name."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["cartmesh"]

# Where Cartmesh finds the services and the events of this package.
[project.entry-points."cartmesh.services"]
$package = "$package"

[project.entry-points."cartmesh.events"]
$package = "$package.events"

[dependency-groups]
test = ["pytest>=8.3", "pytest-asyncio>=0.25"]

[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["$package"]

[tool.pytest.ini_options]
testpaths = ["tests"]
asyncio_mode = "auto"
""",
    "README.md": """\
# $name

A service of Cartmesh in a package of its own.

| file | what |
|---|---|
| `$package/events/$package.py` | the events that this package publishes |
| `$package/service.py` | the service: what follows from what |
| `tests/test_service.py` | the service on a mesh in memory, without servers |

    pip install -e . --group test
    pytest
    cartmesh mesh check
    cartmesh up

Where the package is installed, `cartmesh up` starts the service with all others, and `cartmesh mesh render` writes its
consumers, permissions and documentation and adds it to the chart. Install it in the image that the chart names, too.
""",
    "$package/__init__.py": '"""$title: a service of Cartmesh and its events."""\n',
    "$package/events/__init__.py": '"""The events of this package, one file per domain."""\n',
    "$package/events/$package.py": '''\
"""What happened in $name. The domain of these events is the name of this file."""

from mesh import Event, event


@event(key="order_id")
class ${prefix}OrderNoted(Event):
    """An order was noted. The first line of this text is read in the catalogue."""

    order_id: str
    visitor_id: str
''',
    "$package/service.py": '''\
"""Notes every order of its region. The first line of this text is read in the catalogue."""

from collections.abc import AsyncIterator

from mesh import Service
from mesh.events.order import OrderPlaced

from $package.events.$package import ${prefix}OrderNoted

service = Service("$name", publishes=(${prefix}OrderNoted,))


@service.on(OrderPlaced)
async def note_order(placed: OrderPlaced) -> AsyncIterator[${prefix}OrderNoted]:
    """Note an order."""
    yield ${prefix}OrderNoted(order_id=placed.order_id, visitor_id=placed.visitor_id)
''',
    "tests/test_service.py": '''\
"""The service on a mesh in memory."""

import asyncio

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.order import OrderPlaced
from mesh.runtime.run import running

from $package.events.$package import ${prefix}OrderNoted
from $package.service import service


async def test_an_order_is_noted() -> None:
    """What follows from an order is stored under the order's id."""
    regions = MemoryMesh("us")
    shop, own = Mesh(regions.broker("us"), "shop"), Mesh(regions.broker("us"), service.name)
    order = OrderPlaced(order_id="o1", visitor_id="v1", lines=(), total=Money(amount=900, currency="EUR"))

    async with running(service, own), asyncio.timeout(10):
        await shop.publish(order)
        noted = None
        while noted is None:
            noted = await own.last(${prefix}OrderNoted, "o1")

    assert noted.event == ${prefix}OrderNoted(order_id="o1", visitor_id="v1")
''',
}
"""Path -> text, both with `$$name`, `$$package`, `$$title` and `$$prefix`."""


def new_package(name: str, folder: Path) -> list[Path]:
    """Write the package to `folder/name` and return its files.

    DeclarationError for a name that cannot be a service's and a package's, that can be imported already, or whose
    folder is there.
    """
    if not _name(name) or len(name) > 40:
        raise DeclarationError(
            f"{name!r}: a name is at most 40 of a-z, 0-9 and -, beginning with a letter: loyalty-points"
        )
    package = name.replace("-", "_")
    if package in sys.stdlib_module_names or find_spec(package) is not None:
        raise DeclarationError(f"a package {package!r} can be imported here already: choose another name")
    home = folder / name
    if home.exists():
        raise DeclarationError(f"{home} is there already: choose another name or folder")
    values = {
        "name": name,
        "package": package,
        "title": name.replace("-", " ").capitalize(),
        "prefix": "".join(word.capitalize() for word in name.split("-")),
    }
    written = []
    for path, text in FILES.items():
        target = home / Template(path).substitute(values)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(text).substitute(values), encoding="utf-8")
        written.append(target)
    return written
