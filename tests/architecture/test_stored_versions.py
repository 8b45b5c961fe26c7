"""Every version of every event that may be stored is read for ever: one sample of each stands in `stored/`.

A sample is never changed and never deleted. A version without one gets it from this test, which then fails: commit it.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORED = Path(__file__).parent / "stored"
VERSIONS = sorted(json.loads((ROOT / "deploy/generated/schemas.json").read_text(encoding="utf-8")))
UNRELEASED = (
    "declare the next version with an upcast. Only where no such event was ever released: delete its sample, run this "
    "test again, and commit the sample that it writes"
)

READ = """
import json, pathlib, sys
import msgspec
from mesh.envelope import decode
from mesh.event import declaration_of, find, key_of
from mesh.runtime.discovery import declare_events
declare_events()
results = {}
for path in pathlib.Path(sys.argv[1]).glob("*.json"):
    try:
        envelope, event = decode(path.read_bytes())
    except Exception as error:
        results[path.stem] = {"error": f"{type(error).__name__}: {error}"}
        continue
    results[path.stem] = {
        "type": envelope.type,
        "newest": declaration_of(type(event)).type,
        "key": [envelope.subject, key_of(event)],
        "written": msgspec.to_builtins(event),
        "stored": msgspec.json.decode(envelope.data),
    }
print(json.dumps(results))
"""
WRITE = """
import json, sys
import msgspec
from datetime import UTC, datetime, timedelta
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from mesh.envelope import encode
from mesh.event import find
from mesh.runtime.discovery import declare_events

declare_events()
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAIN = {bool: True, int: 7, float: 0.5, datetime: NOW, timedelta: timedelta(minutes=5), Any: "any"}

def value(hint, name):
    origin, parts = get_origin(hint), [part for part in get_args(hint) if part is not NoneType]
    if origin in (Union, UnionType):
        return value(parts[0], name)
    if origin is Literal:
        return parts[0]
    if origin is tuple:
        return (value(parts[0], name),)
    if origin is dict:
        return {name: value(get_args(hint)[1], name)}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return filled(hint)
    if hint is str:
        return "EUR" if name == "currency" else "email" if name == "channel" else f"{name.replace('_', '-')}-1"
    return PLAIN[hint]

def filled(kind):
    return kind(**{name: value(hint, name) for name, hint in get_type_hints(kind).items()})

newest = find(sys.argv[1])
if newest.type != sys.argv[1]:
    raise SystemExit(f"{sys.argv[1]} is an older version of {newest.type}: take its sample back from version control")
body = encode(filled(newest.kind), id="sample", region="us", source="sample", time=NOW)
print(json.dumps(json.loads(body), indent=2))
"""


def child(script, argument):
    """Run in a process of its own: other tests declare events for themselves."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(argument)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def holds(written, stored):
    """Whether everything that was stored is still there; optional fields may have joined."""
    if isinstance(stored, dict) and isinstance(written, dict):
        return all(holds(written.get(name), value) for name, value in stored.items())
    if isinstance(stored, list) and isinstance(written, list):
        return len(stored) == len(written) and all(map(holds, written, stored))
    return written == stored


@pytest.fixture(scope="module")
def read():
    """Sample -> what is read in it today."""
    return json.loads(child(READ, STORED))


@pytest.mark.parametrize("type_", VERSIONS)
def test_every_version_has_a_sample(type_):
    """It was made when the version was new, with every field."""
    sample = STORED / f"{type_}.json"
    if not sample.exists():
        sample.write_text(child(WRITE, type_), encoding="utf-8")
        pytest.fail(f"{type_} had no sample: one was written to {sample.relative_to(ROOT)}; commit it")


def test_every_stored_version_is_read(read):
    """As the newest version, under the key it is stored by."""
    unread = {type_: one["error"] for type_, one in read.items() if "error" in one}
    moved = {type_: one["key"] for type_, one in read.items() if "key" in one and len(set(one["key"])) > 1}

    assert (unread, moved) == ({}, {}), UNRELEASED
    assert [type_ for type_, one in read.items() if one["type"] != type_] == []


def test_what_is_written_today_has_every_field_of_its_sample(read):
    """A field that was renamed would be read as if it had never been there."""
    changed = {
        type_: {name: value for name, value in one["stored"].items() if not holds(one["written"].get(name), value)}
        for type_, one in read.items()
        if one.get("newest") == type_
    }

    assert {type_: fields for type_, fields in changed.items() if fields} == {}, UNRELEASED
