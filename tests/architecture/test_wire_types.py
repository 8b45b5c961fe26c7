"""Wire types are frozen: what is stored in a stream for a year must be read by next year's code.

A type is never changed and never deleted. A new event gets its line from this test, which then fails: commit it.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "wire_types.txt"

PRINT = """
from mesh.event import declared
from mesh.runtime.discovery import declare_events
declare_events()
for one in declared():
    for type_ in (*one.older_types, one.type):
        print(type_, one.root, one.key, one.kind.__name__)
"""


@pytest.fixture(scope="module")
def declared():
    """In a process of its own: other tests declare events for themselves."""
    return subprocess.run(
        [sys.executable, "-c", PRINT], capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()


def test_no_wire_type_changes(declared):
    """Type, subject's root, key and class are as written down in `wire_types.txt`."""
    written = GOLDEN.read_text(encoding="utf-8").splitlines()
    assert [line for line in written if line not in declared] == []

    if new := [line for line in declared if line not in written]:
        GOLDEN.write_text("".join(f"{line}\n" for line in declared), encoding="utf-8")
        pytest.fail(f"{', '.join(line.split()[0] for line in new)}: written to {GOLDEN.name}; commit it")


def test_events_are_named_by_what_happened(declared):
    """A past participle, or the state it came to, and never a suffix that says it is an event."""
    names = [line.split()[3] for line in declared]

    assert [name for name in names if name.endswith(("Event", "Message", "Command"))] == []
    assert [
        name for name in names if not name.endswith(("ed", "edBack", "wn", "Sent", "Due", "Idle", "Heartbeat"))
    ] == []


def test_schemas_are_json(declared):
    """The committed schemas name every event that is declared."""
    committed = json.loads((GOLDEN.parents[2] / "deploy/generated/schemas.json").read_text(encoding="utf-8"))

    assert sorted(committed) == sorted(line.split()[0] for line in declared)
