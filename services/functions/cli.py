"""The command `cartmesh functions`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import App, Parameter

from mesh.errors import TopologyError

if TYPE_CHECKING:
    from mesh import Mesh, Received
    from mesh.events.function_call import FunctionCallEnded
    from services.functions import FunctionsView
    from services.functions.trying import Tried

T = TypeVar("T")
Flag = Annotated[bool, Parameter(negative=())]


def commands(app: App) -> None:
    """Add it to the root command."""
    functions = App(name="functions", help="Functions: which run, what they wrote, and how to try one.")
    functions.command(list_functions, name="list")
    functions.command(logs)
    functions.command(try_function, name="test")
    app.command(functions)


def list_functions(*, region: str | None = None, servers: Path | None = None, json: Flag = False) -> None:
    """List the files of functions in each region, and what is wrong with one. 1: a file does not run.

    Parameters
    ----------
    region
        Ask only there.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    json
        Print JSON instead of a table.
    """
    import msgspec  # noqa: PLC0415  what a command needs is loaded when it runs

    from services.functions import FunctionsView, ReadFunctions  # noqa: PLC0415  the same

    async def ask(mesh: "Mesh") -> "FunctionsView":
        return await mesh.ask("functions", "read-functions", ReadFunctions(), FunctionsView)

    found = asyncio.run(_in_each(servers, region, ask))
    if json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        _print_list(found)
    if any(file.problem for view in found.values() for file in view.files):
        sys.exit(1)


def logs(
    name: str, *, follow: Flag = False, region: str | None = None, servers: Path | None = None, json: Flag = False
) -> None:
    """Show the newest calls of a function, oldest first: how each ended, and what it wrote.

    Parameters
    ----------
    name
        The function.
    follow
        Go on with what is called from now on, until ctrl-c.
    region
        Look only there.
    servers
        Where the mesh is: the servers.json of an embedded one. Else `CARTMESH_NATS_URL_<REGION>` says it.
    json
        Print JSON, one call a line.
    """
    from services.functions.call_log import following_calls, newest_calls  # noqa: PLC0415  as above

    async def show(mesh: "Mesh") -> int:
        found = await newest_calls(mesh, name)
        for one in reversed(found):
            _print_call(one, json=json)
        if follow:
            async for one in following_calls(mesh, name):
                _print_call(one, json=json)
        return len(found)

    with suppress(KeyboardInterrupt):
        found = asyncio.run(_in_each(servers, region, show))
        if not any(found.values()):
            raise TopologyError(f"no call of {name!r} is kept: `cartmesh functions list` shows which functions run")


def try_function(file: Path, event: Path, /, *, function: str | None = None, json: Flag = False) -> None:
    """Call the functions of a file with an event, in their own process and with their bounds, without a mesh.

    What they would publish is printed, and nothing is published. 1: one failed.

    Parameters
    ----------
    file
        A file of functions.
    event
        The event in JSON: `type` and `data`, or a whole CloudEvent, or what `cartmesh events show` prints.
    function
        Call only this one.
    json
        Print JSON.
    """
    import msgspec  # noqa: PLC0415  as above

    from mesh.runtime.discovery import declare_events  # noqa: PLC0415  the same
    from services.functions.event_file import event_of  # noqa: PLC0415  the same
    from services.functions.trying import tried  # noqa: PLC0415  the same

    declare_events()
    try:
        text, received = file.read_text(encoding="utf-8"), event_of(event.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise TopologyError(str(error)) from None
    found = asyncio.run(tried(file.absolute(), text, received, function))
    if json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        for one in found:
            _print_tried(one)
    if any(one.error for one in found):
        sys.exit(1)


async def _in_each(servers: Path | None, region: str | None, ask: "Callable[[Mesh], Awaitable[T]]") -> dict[str, T]:
    """What is found in each region that is asked, side by side."""
    from mesh.cli.asked_regions import Asked  # noqa: PLC0415  as above

    async with AsyncExitStack() as stack:
        meshes = await Asked(servers=servers, region=region, reason=None).all(stack, "functions")
        answers = await asyncio.gather(*(ask(mesh) for mesh in meshes))
        return {mesh.region: answer for mesh, answer in zip(meshes, answers, strict=True)}


def _print_list(found: "dict[str, FunctionsView]") -> None:
    from rich.console import Console  # noqa: PLC0415  as above
    from rich.table import Table  # noqa: PLC0415  the same

    table = Table("region", "function", "file, version", "called for", "calls in 5 min", "failed")
    for region, view in found.items():
        for file in view.files:
            for one in file.functions:
                counts = (str(one.calls), str(one.failures))
                table.add_row(region, one.name, f"{file.file} {file.version}", ", ".join(one.types), *counts)
    console = Console()
    console.print(table)
    for region, view in found.items():
        if not view.files:
            console.print(f"{region}: there are no files in {view.folder}", markup=False)
        for file in view.files:
            if file.problem:
                goes_on = f" (version {file.version} goes on)" if file.version else ""
                console.print(f"{region}: {file.file}: {file.problem.reason}{goes_on}", markup=False, style="red")
                console.print(file.problem.trace, markup=False, style="dim")


def _print_call(received: "Received[FunctionCallEnded]", *, json: bool) -> None:
    import msgspec  # noqa: PLC0415  as above

    one = received.event
    if json:
        sys.stdout.write(msgspec.json.encode(one).decode() + "\n")
    else:
        said = f"  {one.error}" if one.error else ""
        sys.stdout.write(
            f"{received.time:%Y-%m-%d %H:%M:%S}  {received.region:<4} {one.outcome:<6} {one.duration:>8} ms  "
            f"{one.event_type} {one.event_id} attempt {one.attempt}{said}\n"
        )
        sys.stdout.writelines(f"    {line}\n" for line in one.output.splitlines())
        if one.dropped:
            sys.stdout.write(f"    and {one.dropped} bytes more, which are not kept\n")
    sys.stdout.flush()


def _print_tried(one: "Tried") -> None:
    import msgspec  # noqa: PLC0415  as above

    print(f"{one.function}: {one.outcome}, {one.milliseconds} ms" + (f": {one.error}" if one.error else ""))
    for line in (one.trace + one.output).splitlines():
        print(f"    {line}")
    if one.dropped:
        print(f"    and {one.dropped} bytes more, which are not kept")
    for emitted in one.emitted:
        print(f"  publishes {msgspec.json.encode(emitted).decode()}")
