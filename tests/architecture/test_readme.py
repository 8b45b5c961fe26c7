"""The README's code works as it stands there."""

import json
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
from mesh.function import Emit
from mesh.mesh import Mesh
from mesh.runtime.run import running
from mesh.service import Service
from services.functions.event_file import event_of
from services.functions.trying import tried

ROOT = Path(__file__).parents[2]
CODE = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def stamps():
    """The README's module, gone again afterwards."""
    code, _ = CODE
    module = sys.modules["services.stamps"] = ModuleType("services.stamps")
    exec(compile(code, "services/stamps.py", "exec"), module.__dict__)
    yield module
    del sys.modules["services.stamps"]
    _by_type.pop("stamps.stamp_given.v1", None)
    _by_name.pop("stamps.stamp_given", None)
    _by_kind.pop(module.StampGiven, None)


async def test_a_service_is_a_file(stamps, eventually):
    """The example service consumes an order and gives its stamp, once."""
    assert isinstance(stamps.service, Service)
    regions = MemoryMesh("us")
    shop, mesh = Mesh(regions.broker("us"), "gateway"), Mesh(regions.broker("us"), "stamps")
    order = OrderPlaced(order_id="o1", visitor_id="v1", lines=(), total=Money(amount=4299, currency="EUR"))

    async with running(stamps.service, mesh):
        await shop.publish(order)

        async def given():
            return await mesh.last(stamps.StampGiven, "o1")

        stamp = await eventually(given)

    assert stamp.event == stamps.StampGiven(order_id="o1", visitor_id="v1", worth=42)
    assert stamp.stored <= datetime.now(UTC)


async def test_a_function_is_less_than_a_service(tmp_path):
    """The example function is called with a confirmed order, in a process of its own."""
    _, code = CODE
    confirmed = {"order_id": "o1", "lines": [], "total": {"amount": 4299, "currency": "EUR"}}
    event = event_of(json.dumps({"type": "order.confirmed.v1", "data": confirmed}).encode())

    (called,) = await tried(tmp_path / "stamps.py", code, event, None)

    assert called.emitted == (Emit("stamp.given", "o1"),)


@pytest.mark.parametrize(("currency", "amount", "worth"), [("EUR", 4299, 42), ("JPY", 4299, 4299), ("KWD", 4299, 4)])
async def test_a_stamp_is_worth_whole_units_of_any_currency(stamps, currency, amount, worth):
    """A currency without decimals, or with three, is counted as its shoppers count it."""
    order = OrderPlaced(order_id="o1", visitor_id="v1", lines=(), total=Money(amount=amount, currency=currency))

    assert [one.worth async for one in stamps.give_stamp(order)] == [worth]


@pytest.mark.timeout(300)
def test_a_file_is_all_that_a_service_adds(tmp_path):
    """With `services/loyalty.py` taken away and the README's file added, what is generated follows, and nothing else.

    The repository is whole without the one and with the other: style, types and topology are right.
    """
    for name in ("mesh", "services", "ml", "notifications", "deploy"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "mesh.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    before, (code, _) = written_by_people(tmp_path), CODE
    loyalty, stamps = tmp_path / "services/loyalty.py", tmp_path / "services/stamps.py"
    text = loyalty.read_text(encoding="utf-8")
    loyalty.unlink()
    stamps.write_text(code, encoding="utf-8")

    ran(tmp_path, "mesh.cli", "mesh", "render", "--unreleased")

    after = written_by_people(tmp_path)
    assert (before - after, after - before) == ({("services/loyalty.py", text)}, {("services/stamps.py", code)})
    for name in ("services.json", "schemas.json", "permissions.json", "consumers.json", "asyncapi.json", "catalog.md"):
        generated = (tmp_path / "deploy/generated" / name).read_text(encoding="utf-8")
        assert ("stamps" in generated, "loyalty" in generated) == (True, False), name
    ran(tmp_path, "mesh.cli", "mesh", "check")
    ran(tmp_path, "ruff", "check", "--no-cache", str(stamps))
    ran(tmp_path, "ruff", "format", "--no-cache", "--check", str(stamps))
    ran(tmp_path, "mypy", "--cache-dir", str(ROOT / ".mypy_cache"), "--follow-imports", "silent", str(stamps))


def ran(folder, *command):
    """Run a module of Python in a folder, and its code instead of this repository's."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )
    assert (command, done.returncode) == (command, 0), done.stdout + done.stderr


def written_by_people(folder):
    """Path and text of every file but those that are generated."""
    generated = tuple(str(folder / "deploy" / name) for name in ("generated", "chart/derived"))
    return {
        (str(path.relative_to(folder)), path.read_text(encoding="utf-8", errors="replace"))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not str(path).startswith(generated)
    }


def test_every_folder_tells_what_it_is():
    """Each top-level folder has a README of its own."""
    folders = ["mesh", "services", "ml", "notifications", "deploy", "tests"]

    assert [name for name in folders if not (ROOT / name / "README.md").exists()] == []
