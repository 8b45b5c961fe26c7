"""The README's code works as it stands there."""

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from mesh import Money
from mesh.broker.memory import MemoryMesh
from mesh.event import _by_kind, _by_type
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
    _by_kind.pop(made["mesh.events.loyalty"].PointsEarned, None)


async def test_a_service_is_a_file(readme, eventually):
    """The example service hears an order and awards its points, once."""
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


def test_every_folder_tells_what_it_is():
    """Each top-level folder has a README of its own."""
    folders = ["mesh", "services", "ml", "notifications", "deploy", "tests"]

    assert [name for name in folders if not (ROOT / name / "README.md").exists()] == []
