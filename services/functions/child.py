"""Child: the process of one file. It imports the file, and calls its functions one after the other until it is ended.

Its standard output is the socket to the service when it begins. What functions print and log goes where its standard
error leads.
"""

import asyncio
import inspect
import linecache
import logging
import os
import socket
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from types import ModuleType
from typing import Any

import msgspec

from mesh import function
from mesh.errors import Bury, Retry
from mesh.event import Event, declaration_of, find
from mesh.function import Context, Emit, Function
from services.functions.confinement import bound_cpu, confine
from services.functions.frames import HEAD, Answer, Call, Declared, Failed, Load, Loaded, Returned, decode_order, framed

_OURS = (__file__, asyncio.runners.__file__, asyncio.base_events.__file__)


class Child:
    """The functions of the file, and the loop in which those run that are asynchronous."""

    def __init__(self, loaded: Load) -> None:
        self._loaded = loaded
        self._functions: dict[str, Function] = {}
        self._runner = asyncio.Runner()

    def load(self) -> Answer:
        """Import the file."""
        lines = self._loaded.source.splitlines(keepends=True)
        linecache.cache[self._loaded.path] = (len(self._loaded.source), None, lines, self._loaded.path)
        module = ModuleType(os.path.basename(self._loaded.path).removesuffix(".py"))  # noqa: PTH119  a name, no file
        module.__file__ = self._loaded.path
        sys.modules[module.__name__] = module
        sys.path.insert(0, self._loaded.folder)
        try:
            exec(compile(self._loaded.source, self._loaded.path, "exec"), vars(module))  # noqa: S102  that is what it is for
        except BaseException as error:  # noqa: BLE001  whatever the file does, it is said where its author looks
            return self._failed(error)
        self._functions = {one.name: one for one in function.declared}
        if not self._functions:
            return Failed(reason="no function is declared: put @function(on=...) above one")
        return Loaded(functions=tuple(map(_declared, function.declared)))

    def call(self, asked: Call) -> Answer:
        """Call a function."""
        bound_cpu(self._loaded.cpu)
        called = self._functions[asked.function]
        declaration = find(asked.event_type)
        if declaration is None:
            return Failed(reason=f"{asked.event_type} is not known here", outcome="again", after=5.0)
        try:
            event = _decoder(declaration.kind).decode(asked.data)
            made = self._made(called.handler, event, _context(asked))
            return Returned(emitted=tuple(_checked(called.name, one) for one in made))
        except BaseException as error:  # noqa: BLE001  the same
            return self._failed(error)

    def _made(self, handler: Callable[..., Any], event: Event, context: Context) -> list[Any]:
        arguments = (event, context)[: _takes(handler)]
        if inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler):
            return self._runner.run(_collected(handler(*arguments)))
        return _list(handler(*arguments))

    def _failed(self, error: BaseException) -> Failed:
        frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename not in _OURS]
        trace = "".join(traceback.format_list(frames) + traceback.format_exception_only(error))
        match error:
            case Retry(after=after):
                return Failed(reason=str(error), outcome="again", after=after.total_seconds())
            case Bury(reason=reason):
                return Failed(reason=reason, outcome="buried")
            case MemoryError():
                return Failed(reason="MemoryError: it needed more memory than it may use", trace=trace, final=True)
            case SyntaxError():
                return Failed(reason=f"SyntaxError in line {error.lineno}: {error.msg}", trace=trace)
            case _:
                lines = [one.lineno for one in frames if one.filename == self._loaded.path]
                at = f" (line {lines[-1]})" if lines else ""
                final = not isinstance(error, Exception)
                return Failed(reason=f"{type(error).__name__}: {error}{at}", trace=trace, final=final)


async def _collected(made: Any) -> list[Any]:
    return [one async for one in made] if inspect.isasyncgen(made) else _list(await made)


def _list(made: Any) -> list[Any]:
    if made is None:
        return []
    return [made] if isinstance(made, Emit | Event) else list(made)


def _checked(name: str, one: Any) -> Emit:
    if not isinstance(one, Emit):
        raise Bury(f"{name} returned {type(one).__name__}: a function publishes Emit(name, key, data), or nothing")
    return one


@cache
def _takes(handler: Callable[..., Any]) -> int:
    return len(inspect.signature(handler).parameters)


@cache
def _decoder(kind: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(kind)


def _context(asked: Call) -> Context:
    log = logging.getLogger(asked.function)
    return Context(
        id=asked.id, time=asked.time, region=asked.region, attempt=asked.attempt, deadline=asked.deadline, log=log
    )


def _declared(one: Function) -> Declared:
    deadline = one.deadline.total_seconds() if isinstance(one.deadline, timedelta) else None
    return Declared(
        name=one.name,
        types=tuple(declaration_of(kind).type for kind in one.kinds),
        filters=msgspec.json.encode(one.filters),
        publishes=one.publishes,
        retries=one.retries,
        deadline=deadline,
        summary=(inspect.getdoc(one.handler) or "").partition("\n")[0],
    )


def main() -> None:
    """Answer orders until there are no more."""
    with socket.socket(fileno=os.dup(1)) as channel, channel.makefile("rb") as orders:
        os.dup2(2, 1)
        sys.dont_write_bytecode = True  # a file that changes twice in a second would be imported as it was before
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123  open as long as the process
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout, force=True)
        child: Child | None = None
        while head := orders.read(HEAD):
            order = decode_order(orders.read(int.from_bytes(head, "big")))
            if isinstance(order, Load):
                confine(memory=order.memory)
                bound_cpu(order.cpu)
                child = Child(order)
                answer = child.load()
            else:
                assert child is not None  # noqa: S101  the service loads first
                answer = child.call(order)
            for written in (sys.stdout, sys.stderr):
                written.flush()
            channel.sendall(framed(answer))
            if isinstance(answer, Failed) and answer.final:
                os._exit(1)
    os._exit(0)
