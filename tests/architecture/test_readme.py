"""The README's code works as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from mesh import Money
from mesh.broker.memory import MemoryMesh
from mesh.event import _by_kind, _by_name, _by_type
from mesh.events.order import OrderPlaced
from mesh.mesh import Mesh
from mesh.runtime.run import running
from mesh.service import Service

ROOT = Path(__file__).parents[2]


@pytest.fixture
def readme():
    """The README's two modules, gone again afterwards."""
    declares, serves = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    made = {}
    for name, code in {"mesh.events.loyalty": declares, "services.loyalty": serves}.items():
        module = made[name] = sys.modules[name] = ModuleType(name)
        exec(compile(code, name, "exec"), module.__dict__)
    yield made
    for name in made:
        del sys.modules[name]
    _by_type.pop("loyalty.points_earned.v1", None)
    _by_name.pop("loyalty.points_earned", None)
    _by_kind.pop(made["mesh.events.loyalty"].PointsEarned, None)


async def test_a_service_is_a_file(readme, eventually):
    """The example service consumes an order and awards its points, once."""
    service, points_earned = readme["services.loyalty"].service, readme["mesh.events.loyalty"].PointsEarned
    assert isinstance(service, Service)
    regions = MemoryMesh("us")
    shop, mesh = Mesh(regions.broker("us"), "gateway"), Mesh(regions.broker("us"), "loyalty")
    order = OrderPlaced(order_id="o1", visitor_id="v1", lines=(), total=Money(amount=4299, currency="EUR"))

    async with running(service, mesh):
        await shop.publish(order)

        async def awarded():
            return await mesh.last(points_earned, "o1")

        earned = await eventually(awarded)

    assert earned.event == points_earned(order_id="o1", visitor_id="v1", points=42)
    assert earned.stored <= datetime.now(UTC)


@pytest.mark.parametrize(("currency", "amount", "points"), [("EUR", 4299, 42), ("JPY", 4299, 4299), ("KWD", 4299, 4)])
async def test_points_are_whole_units_of_any_currency(readme, currency, amount, points):
    """A currency without decimals, or with three, is counted as its shoppers count it."""
    award_points = readme["services.loyalty"].award_points
    order = OrderPlaced(order_id="o1", visitor_id="v1", lines=(), total=Money(amount=amount, currency=currency))

    assert [earned.points async for earned in award_points(order)] == [points]


@pytest.mark.timeout(300)
def test_the_readmes_code_passes_make_check(tmp_path):
    """Put where the README says, its two files satisfy style, types and topology; only `make render` is left to do."""
    texts = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    for name in ("mesh", "services", "ml", "notifications", "deploy"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "mesh.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    files = ("mesh/events/loyalty.py", "services/loyalty.py")
    for name, text in zip(files, texts, strict=True):
        (tmp_path / name).write_text(text)

    for command in (
        ("ruff", "check", "--no-cache", *files),
        ("ruff", "format", "--no-cache", "--check", *files),
        ("mypy", "--cache-dir", str(ROOT / ".mypy_cache"), "--follow-imports", "silent", *files),
        ("mesh.cli", "mesh", "check"),
    ):
        ran = subprocess.run(
            [sys.executable, "-m", *command],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
        )
        assert (command[0], ran.returncode) == (command[0], 0), ran.stdout + ran.stderr


def test_every_folder_tells_what_it_is():
    """Each top-level folder has a README of its own."""
    folders = ["mesh", "services", "ml", "notifications", "deploy", "tests"]

    assert [name for name in folders if not (ROOT / name / "README.md").exists()] == []
