"""Logs of an embedded mesh are bounded, and read across their parts."""

import asyncio

import pytest

from mesh.cli.logs import logs
from mesh.errors import TopologyError
from mesh.runtime import log_files
from mesh.runtime.log_files import LogReader, part, rotate
from mesh.runtime.process_list import ListedProcess, ProcessList


@pytest.fixture
def folder(tmp_path):
    """What a `cartmesh up` that ran here has listed and written."""
    kept = ProcessList(tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "us-1").mkdir()
    for name, kind, services, log in (
        ("us-1", "server", (), "us-1/server.log"),
        ("us-worker", "service", ("carts", "offers"), "logs/us-worker.log"),
        ("eu-worker", "service", ("carts", "offers"), "logs/eu-worker.log"),
    ):
        kept.add(ListedProcess(name=name, kind=kind, region=name[:2], services=services, log=log))
        (tmp_path / log).write_text(f"first of {name}\nlast of {name}\n")
    kept.stopped()
    return tmp_path


def test_a_writer_goes_on_in_a_file_that_was_rotated(tmp_path):
    """It keeps its file open; as many older parts are kept as is said, and the oldest is dropped."""
    path = tmp_path / "a.log"
    with path.open("ab", buffering=0) as writer:
        for at in range(4):
            writer.write(f"line {at}\n".encode())
            rotate(path)
        writer.write(b"line 4\n")

    assert path.read_bytes() == b"line 4\n"
    assert [part(path, at).read_bytes() for at in (1, 2)] == [b"line 3\n", b"line 2\n"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert LogReader(path).last_lines(2) == [b"line 3\n", b"line 4\n"]


def test_who_follows_a_log_gets_each_line_once_and_whole(tmp_path):
    """Also what is written just before a rotation, and a line that is written in two pieces."""
    path, got = tmp_path / "a.log", []
    path.touch()
    log = LogReader(path)
    with path.open("ab", buffering=0) as writer:
        writer.write(b"one\ntw")
        got += log.new_lines()
        writer.write(b"o\nthree\n")
        rotate(path)
        writer.write(b"four\n")
        got += log.new_lines()

    assert got == [b"one\n", b"two\n", b"three\n", b"four\n"]


async def test_only_what_is_too_large_is_rotated(folder, monkeypatch, eventually):
    """Looked at again and again while a mesh runs."""
    monkeypatch.setattr(log_files, "MOST_BYTES", 1000)
    (folder / "us-1" / "server.log").write_bytes(b"x" * 999 + b"\n\n")
    keeping = asyncio.create_task(log_files.keep_bounded(folder))

    async def rotated():
        return (folder / "us-1" / "server.log").stat().st_size == 0

    await eventually(rotated, within=60)
    keeping.cancel()

    assert [one.name for one in sorted(folder.rglob("*.log.*"))] == ["server.log.1"]


def test_logs_prints_the_processes_that_are_asked_for(folder, capsys):
    """By process, server or service, and by region; each line says whose it is."""
    asked = ((("carts",), {}), (("us-1", "offers"), {"region": "us", "lines": 1}))
    printed = []
    for names, options in asked:
        logs(*names, dir=folder, **options)
        printed.append(capsys.readouterr().out.splitlines())

    assert printed == [
        [f"{name} | {which} of {name}" for name in ("us-worker", "eu-worker") for which in ("first", "last")],
        ["us-1 | last of us-1", "us-worker | last of us-worker"],
    ]


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (("cart",), {}, "nothing is called cart; there are carts, eu-worker, offers, us-1, us-worker"),
        ((), {"region": "ap"}, "no process belongs to ap; there are eu, us"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(folder, names, options, words):
    """A misspelt name is no empty answer."""
    with pytest.raises(TopologyError, match=words):
        logs(*names, dir=folder, **options)


def test_a_folder_without_a_mesh_is_named(tmp_path):
    """It says which option names the right one."""
    with pytest.raises(TopologyError, match=r"no `cartmesh up` ran in .*: name its folder with --dir"):
        logs(dir=tmp_path)
