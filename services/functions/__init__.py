"""Runs the functions in a folder: each file in a process of its own, called for each event that it asks for."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec

from mesh import Mesh, Service
from mesh.binding import Bindings
from mesh.events.function import FunctionEmitted
from mesh.events.function_call import FunctionCallEnded
from mesh.settings import read
from services.functions.call_log import open_call_log
from services.functions.confinement import hide_environment
from services.functions.folder import write_example
from services.functions.function_file import FileView
from services.functions.function_settings import FunctionSettings
from services.functions.functions import Functions
from services.functions.opening import open_targets

if TYPE_CHECKING:
    from mesh.web.console import Console

service = Service("functions", publishes=(FunctionCallEnded, FunctionEmitted), binds_later=True, alone=True, port=8240)


class ReadFunctions(msgspec.Struct, frozen=True):
    """The question which functions there are."""


class FunctionsView(msgspec.Struct, frozen=True, kw_only=True):
    """The folder, and its files."""

    folder: str
    files: list[FileView]


@service.resource
async def open_functions(mesh: Mesh, bindings: Bindings) -> AsyncIterator[Functions]:
    """The functions of the folder, which is looked at until the end."""
    settings = read(FunctionSettings)
    hide_environment()
    if settings.has_example:
        write_example(settings.folder)
    async with open_call_log(mesh) as call_log, open_targets(settings) as make:
        functions = Functions(mesh, bindings, call_log, settings, make)
        following = asyncio.create_task(functions.follow())
        try:
            yield functions
        finally:
            following.cancel()
            await functions.close()


@service.answers
async def read_functions(_: ReadFunctions, functions: Functions) -> FunctionsView:
    """Which functions there are, and how they are."""
    return FunctionsView(folder=str(read(FunctionSettings).folder), files=functions.views)


@service.page("/functions", title="Functions", role="viewer", section="Operations", position=2)
def function_pages(console: "Console", mesh: Mesh, functions: Functions) -> list[Any]:
    """Which functions run, how they are, and what they wrote."""
    from services.functions.page import page_routes  # noqa: PLC0415  brings Litestar, which other processes do not need

    return page_routes(console, mesh, functions)
