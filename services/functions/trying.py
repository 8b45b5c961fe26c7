"""Trying: a file's functions are called with one event, in the process and with the bounds that they have at work."""

import asyncio
from pathlib import Path

import msgspec

from mesh import Received
from mesh.errors import DeclarationError
from mesh.event import declaration_of
from mesh.function import Emit
from mesh.settings import read
from services.functions.folder import FoundFile
from services.functions.function_settings import FunctionSettings
from services.functions.opening import open_targets
from services.functions.results import emitted_of, outcome_of
from services.functions.target import Refused, attributes, matcher


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one function. `outcome` is that of `function_call.ended`, or `skipped`: its filters do not match."""

    function: str
    outcome: str
    milliseconds: float = 0.0
    emitted: tuple[Emit, ...] = ()
    error: str | None = None
    trace: str = ""
    output: str = ""
    dropped: int = 0


async def tried(path: Path, text: str, received: Received, name: str | None) -> list[Tried]:
    """Call the function of that name, or all that are called for such an event.

    Raises DeclarationError where the file cannot be used, or no function of it is called for the event.
    """
    type_ = declaration_of(type(received.event)).type
    async with open_targets(read(FunctionSettings)) as make:
        target = make(FoundFile(path=path, text=text))
        try:
            await target.load()
        except Refused as refused:
            raise DeclarationError("\n".join(filter(None, (f"{path}: {refused.reason}", refused.trace)))) from None
        try:
            wanted = [one for one in target.declared if name in (None, one.name) and type_ in one.types]
            if not wanted:
                there = "; ".join(f"{one.name} for {', '.join(one.types)}" for one in target.declared)
                raise DeclarationError(f"{path} has no {name or 'function'} that is called for {type_}: {there}")
            found = []
            for declared in wanted:
                if not matcher(declared)(attributes(received)):
                    found.append(Tried(function=declared.name, outcome="skipped"))
                    continue
                began = asyncio.get_running_loop().time()
                called = await target.call(declared, received)
                took = (asyncio.get_running_loop().time() - began) * 1000
                emitted, error = emitted_of(declared, called, received)
                found.append(
                    Tried(
                        function=declared.name,
                        outcome=outcome_of(error),
                        milliseconds=round(took, 1),
                        emitted=tuple(Emit(name=one.name, key=one.key, data=one.data) for one in emitted),
                        error=None if error is None else str(error),
                        trace="\n".join(getattr(error, "__notes__", ())),
                        output=called.output,
                        dropped=called.dropped,
                    )
                )
            return found
        finally:
            await target.close()
