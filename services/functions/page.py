"""Page: functions for the shop's engineers: which run, how they are, what is wrong with a file, and what they wrote."""

from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from mesh import Mesh
from mesh.settings import read
from mesh.web.console import Console
from mesh.web.static_files import StaticFiles, read_folder
from services.functions.call_log import newest_calls
from services.functions.function_settings import FunctionSettings
from services.functions.functions import Functions

PATH, HERE = "/functions", Path(__file__).parent


def page_routes(console: Console, mesh: Mesh, functions: Functions) -> list[Any]:
    """All below `/functions`."""
    files = StaticFiles(read_folder(HERE / "static"), mounted=PATH)
    environment = console.templates(HERE / "templates")
    environment.globals |= {"function_urls": files.urls, "region_here": mesh.region}
    folder = str(read(FunctionSettings).folder)

    @get("/")
    async def show_functions(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Every file and its functions."""
        values = {"files": functions.views, "folder": folder}
        return console.page(request, environment, "functions.html.j2", values)

    @get("/{name:str}")
    async def show_function(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        """One function with its newest calls."""
        found = functions.find(name)
        if found is None:
            raise NotFoundException(f"no function is called {name[:60]}")
        file, live = found
        values = {"file": file, "function": live.view(), "calls": await newest_calls(mesh, name)}
        return console.page(request, environment, "function.html.j2", values)

    return [show_functions, show_function, files.route()]
