"""Functions are handlers of events in files of one's own: read while all runs, called once, retried and parked."""

import pytest

from mesh.broker.memory import MemoryMesh
from mesh.dead_letters import Redo, Redone
from mesh.errors import Unavailable

GIVE_STAMP = '''
@function(on=OrderPlaced, filter=[{"prefix": {"subject": "DE-"}}], publishes=("stamp.given",))
async def give_stamp(placed: OrderPlaced, context: Context):
    """A stamp for each order."""
    print("ordered", placed.order_id, context.attempt)
    context.log.warning("for %s", placed.total)
    yield Emit("stamp.given", key=placed.order_id, data={"worth": placed.total.amount})
'''


async def test_a_function_is_added_changed_broken_and_removed_while_it_runs(open_place):
    """What is in the folder is what runs; of a broken file the version before it, which says what is wrong with it."""
    place = await open_place()
    assert place.functions.views == []

    added = await place.write("stamps.py", GIVE_STAMP)
    await place.order("DE-1")
    await place.order("FR-2")
    (first,) = await place.emitted(1)
    (call,) = await place.calls("give_stamp", "done")
    changed = await place.write("stamps.py", GIVE_STAMP.replace("amount}", "amount * 2}"))
    await place.order("DE-3")
    _, second = await place.emitted(2)
    broken = await place.write("stamps.py", "def f(:\n")
    await place.order("DE-4")
    await place.emitted(3)
    (place.folder / "stamps.py").unlink()
    await place.functions.look()
    removed = place.functions.views
    await place.order("DE-5")
    await place.write("stamps.py", GIVE_STAMP)
    *_, last = await place.emitted(4)

    assert (first.key, first.name, first.function, first.data) == ("DE-1", "stamp.given", "give_stamp", {"worth": 900})
    assert call.output.startswith("ordered DE-1 1\nWARNING for")
    assert (call.outcome, call.attempt, call.emitted, call.event_type) == ("done", 1, 1, "order.placed.v1")
    assert added.problem is changed.problem is None
    assert added.version != changed.version
    assert [one.summary for one in added.functions] == ["A stamp for each order."]
    assert second.data == {"worth": 1800}
    assert broken.version == changed.version
    assert "SyntaxError in line 5" in broken.problem.reason
    assert removed == []
    assert last.key == "DE-5", "what happened while the file was gone is not lost"


async def test_what_a_function_raises_becomes_of_its_event_what_handlers_know(open_place):
    """It is retried and then parked, asks for it again, or parks it; a dead letter is driven again when it is fixed."""
    place = await open_place()
    fails = '@function(on=OrderPlaced, retries=2, publishes=("a.done",))\ndef fail(placed):\n    return 1 / 0\n'
    await place.write("fails.py", fails)
    await place.write(
        "asks.py",
        """
        @function(on=OrderPlaced, publishes=("b.done",))
        def ask(placed, context):
            if context.attempt == 1:
                raise Retry("not yet", after=__import__("datetime").timedelta(0))
            return Emit("b.done", key=placed.order_id)

        @function(on=OrderPlaced)
        def park(placed):
            raise Bury("nobody wants it")

        @function(on=OrderPlaced, publishes=("b.done",))
        def claim(placed):
            return [Emit("order.paid", key=placed.order_id)]

        @function(on=OrderPlaced)
        def confuse(placed):
            return [placed]
        """,
    )

    await place.order("o1")
    (emitted,) = await place.emitted(1)
    parked = await place.parked(4)
    await place.calls("ask", "again", "done")
    failed = await place.calls("fail", "failed", "failed")
    await place.write("fails.py", fails.replace("return 1 / 0", 'return Emit("a.done", key=placed.order_id)'))
    stream = [one async for one in place.mesh.broker.read("DEAD_us", ["dead.us.functions.functions-fail"])]
    redone = await place.mesh.ask(
        "functions", "redo", Redo(durable="functions-fail", sequence=stream[0].sequence), Redone
    )
    both = await place.emitted(2)

    assert emitted.name == "b.done"
    assert parked["functions-fail"].reason == "FunctionFailed: ZeroDivisionError: division by zero (line 7)"
    assert parked["functions-fail"].attempts == 2
    assert 'fails.py", line 7, in fail\n    return 1 / 0' in parked["functions-fail"].trace
    assert failed[0].output.endswith("ZeroDivisionError: division by zero\n")
    assert parked["functions-park"].reason == "nobody wants it"
    assert parked["functions-claim"].reason == (
        "it may not publish 'order.paid': add it to publishes=, which is ('b.done',)"
    )
    assert "publishes Emit(name, key, data)" in parked["functions-confuse"].reason
    assert redone.error is None
    assert sorted(one.name for one in both) == ["a.done", "b.done"]


MISTAKES = {
    "loop": ("while True:\n        time.sleep(1)", "loop took longer than 0.5 s, and was killed"),
    "block_signals": (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n    while True: pass",
        "block_signals took longer than 0.5 s, and was killed",
    ),
    "leak": ("held = [bytearray(1 << 20) for _ in range(1000)]", "MemoryError: it needed more memory than it may use"),
    "fork_itself": ("os.fork()", "PermissionError: [Errno 1] Operation not permitted (line 8)"),
    "run_another": (
        '__import__("subprocess").run(["true"])',
        "PermissionError: [Errno 1] Operation not permitted (line 8)",
    ),
    "crash": ('__import__("ctypes").string_at(0)', "its process crashed: SIGSEGV"),
    "leave": ("os._exit(3)", "its process ended with status 3"),
    "stop_parent": ("os.kill(os.getppid(), 9)", "PermissionError: [Errno 1] Operation not permitted (line 8)"),
    "return_too_much": (
        'return Emit("a.b", key="k", data={"x": "y" * 5_000_000})',
        "its answer cannot be read: it returned more than 4 MB",
    ),
}
"""Function -> what it does, and what is said of it."""


async def test_mistakes_stay_in_the_process_of_their_file(open_place):
    """Each is a failed call of one function that says what it was; others are called meanwhile, and nothing is lost."""
    place = await open_place(FUNCTIONS_MEMORY_MB="64")
    for name, (does, _) in MISTAKES.items():
        limit = ", deadline=timedelta(seconds=0.5)" if "0.5" in MISTAKES[name][1] else ""
        head = f"from datetime import timedelta\n@function(on=OrderPlaced, retries=1{limit})\ndef {name}(placed):\n"
        (place.folder / f"{name}.py").write_text(
            f"import os, sys, time\nfrom mesh.events.order import OrderPlaced\n"
            f"from mesh.function import Emit, function\n\n{head}    {does}\n"
        )
    await place.write(
        "good.py", '@function(on=OrderPlaced, publishes=("a.b",))\ndef good(p): return Emit("a.b", p.order_id)\n'
    )

    await place.order("o1")
    (emitted,) = await place.emitted(1)
    parked = await place.parked(len(MISTAKES))

    assert emitted.key == "o1"
    assert {
        durable.removeprefix("functions-").replace("-", "_"): letter.reason.removeprefix("FunctionFailed: ")
        for durable, letter in parked.items()
    } == {name: said for name, (_, said) in MISTAKES.items()}


async def test_what_is_printed_is_bounded_and_holds_nothing_of_the_service(open_place, monkeypatch):
    """Ten megabytes are kept in part, what has no end is killed, and the service's environment cannot be read."""
    monkeypatch.setenv("CARTMESH_ADDRESS_SECRET", "s3cret-of-the-service")
    place = await open_place()
    await place.write(
        "prints.py",
        """
        @function(on=OrderPlaced)
        def tell(placed):
            print(dict(os.environ), "to ada@example.com")
            for pid in (os.getpid(), os.getppid()):
                print(open(f"/proc/{pid}/environ").read())

        @function(on=OrderPlaced)
        def print_much(placed):
            sys.stdout.write("x" * 10_000_000)
        """,
    )
    await place.write(
        "endless.py",
        """
        from datetime import timedelta
        @function(on=OrderPlaced, retries=1, deadline=timedelta(seconds=0.5))
        def print_on(placed):
            while True:
                print("y" * 1000)
        """,
    )

    await place.order("o1")
    (told,) = await place.calls("tell", "done")
    (much,) = await place.calls("print_much", "done")
    (endless,) = await place.calls("print_on", "failed")

    assert "s3cret" not in told.output
    assert "PATH" in told.output
    assert "ada@example.com" not in told.output
    assert (len(much.output), much.dropped) == (16 * 1024, 10_000_000 - 16 * 1024)
    assert endless.error == "print_on took longer than 0.5 s, and was killed"
    assert len(endless.output) <= 16 * 1024


async def test_a_file_that_cannot_be_used_says_why_and_leaves_the_others_alone(open_place):
    """Names that are taken, what functions do not get, and what is no function."""
    place = await open_place()
    declared = "@function(on=OrderPlaced)\ndef note_order(placed): pass\n"
    one = await place.write("a.py", declared)
    files = {
        "b.py": declared,
        "nothing.py": "",
        "personal.py": "from mesh.events.contact import *\nfrom mesh.event import declared\n"
        "@function(on=next(d.kind for d in declared() if d.personal))\ndef f(x): pass\n",
        "filter.py": '@function(on=OrderPlaced, filter=[{"like": {"type": "x"}}])\ndef f2(x): pass\n',
        "long.py": "from datetime import timedelta\n@function(on=OrderPlaced, deadline=timedelta(hours=1))\n"
        "def f3(x): pass\n",
        "a file.py": declared,
    }
    for name, text in files.items():
        (place.folder / name).write_text(
            "import time\nfrom mesh.events.order import OrderPlaced\nfrom mesh.function import function\n" + text
        )
    (place.folder / "bytes.py").write_bytes(b"\xff\xfe\x00")
    (place.folder / "no.toml").write_text("[a\n")
    (place.folder / "address.toml").write_text('[send]\non = ["order.placed.v1"]\naddress = "ftp://x"\n')
    await place.functions.look()
    problems = {view.file: view.problem.reason for view in place.functions.views if view.problem}
    (place.folder / "a.py").unlink()
    freed = await place.looked("b.py")

    assert one.problem is None
    assert problems.pop("b.py") == "note_order is a function of a.py already: rename one of them"
    assert problems.pop("nothing.py") == "no function is declared: put @function(on=...) above one"
    assert "is personal: functions get no such events" in problems.pop("personal.py")
    assert "unknown dialect 'like'" in problems.pop("filter.py")
    assert problems.pop("long.py") == "f3: its deadline is 3600 s, and 60 s are allowed"
    assert "a file" in problems.pop("a file.py")
    assert problems.pop("bytes.py") == "no UTF-8 text"
    assert "at line 1" in problems.pop("no.toml")
    assert "begins with https://" in problems.pop("address.toml")
    assert problems == {}
    assert freed.problem is None, "the name is free now"


async def test_what_files_import_from_the_folder_is_read_again_when_it_changes(open_place):
    """A file that begins with `_` has no functions of its own, and is part of those that import it."""
    place = await open_place()
    file = "from _rates import WORTH\n" + GIVE_STAMP.replace('{"worth": placed.total.amount}', '{"worth": WORTH}')
    (place.folder / "_rates.py").write_text("WORTH = 1\n")
    await place.write("stamps.py", file)
    await place.order("DE-1")
    await place.emitted(1)
    (place.folder / "_rates.py").write_text("WORTH = 2\n")
    await place.functions.look()
    await place.order("DE-2")

    assert [one.data for one in await place.emitted(2)] == [{"worth": 1}, {"worth": 2}]
    assert [view.file for view in place.functions.views] == ["stamps.py"]
    assert sorted(path.name for path in place.folder.iterdir()) == ["_rates.py", "stamps.py"]


async def test_an_import_without_end_is_killed(open_place):
    """It says so, and keeps neither the service nor other files."""
    place = await open_place(FUNCTIONS_START_DEADLINE="500ms")

    endless = await place.write("endless.py", "while True: time.sleep(1)\n")

    assert endless.problem.reason == "importing the file took longer than 0.5 s, and was killed"
    assert endless.version is None


async def test_a_file_that_is_added_while_the_servers_are_down_runs_when_they_are_back(open_place):
    """Its consumer could not be made: it is made the next time that the folder is looked at."""
    regions = MemoryMesh("us")
    place = await open_place(regions)
    regions.stop("us")
    with pytest.raises(Unavailable):
        await place.write("stamps.py", GIVE_STAMP)
    regions.start("us")

    await place.functions.look()
    await place.order("DE-1")
    (emitted,) = await place.emitted(1)

    assert emitted.key == "DE-1"


async def test_functions_that_follow_from_one_another_without_end_are_stopped(open_place):
    """What a function publishes can be heard by functions, a bounded number of times."""
    place = await open_place()
    await place.write(
        "circle.py",
        """
        from mesh.events.function import FunctionEmitted
        @function(on=(OrderPlaced, FunctionEmitted), publishes=("a.b",))
        def go_round(happened):
            return Emit("a.b", key="k")
        """,
    )

    await place.order("o1")
    parked = await place.parked(1)

    assert "do they call each other in a circle?" in parked["functions-go-round"].reason
    assert len(await place.emitted(17)) == 17
