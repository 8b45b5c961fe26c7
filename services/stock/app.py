"""The stock's HTTP interface for the shop's own servers: commands, levels, and the audit."""

from typing import Any, get_args

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from mesh import Mesh, settings
from mesh.accept import SERVER
from mesh.errors import InvalidField
from mesh.events.stock import CommandKind, StockLevelChanged
from mesh.subjects import token
from mesh.text import cleaned_texts
from mesh.web.application import shared_options
from mesh.web.openapi import documentation
from mesh.web.problems import problem
from mesh.web.server_keys import BEARER, ServerKeys, ServerKeySettings
from services.stock.auditor import Auditor, StockReport
from services.stock.commands import CommandOutcome, CommandReused, StockCommand, apply
from services.stock.level import NotEnough
from services.stock.writer import StockWriter

MOST_BYTES = 64 * 1024


def build(mesh: Mesh, writer: StockWriter, auditor: Auditor) -> Litestar:
    """The app; its settings are read from the environment here, once."""
    keys = ServerKeys(settings.read(ServerKeySettings))

    def admit(request: Request[Any, Any, Any]) -> None:
        if keys.scope(request.headers.get("authorization")) is None:
            raise HTTPException(
                f"send `Authorization: Bearer <{SERVER} key>`; the keys are the setting CARTMESH_SERVER_KEYS",
                status_code=401,
                headers=BEARER,
            )

    @post(
        "/v1/stock/{command:str}",
        status_code=200,
        names={"command": CommandKind},
        takes=StockCommand,
        gives={200: CommandOutcome},
        refuses=(404, 409, 422),
    )
    async def command_stock(request: Request[Any, Any, Any], command: FromPath[str]) -> Response[bytes]:
        """Apply a command to the region's stock: receive, adjust, count or transfer. Once for each id."""
        admit(request)
        kind = _kind(command)
        given = _opened(await request.body())
        return _json(await apply(writer, kind, given))

    @get("/v1/stock/audit", gives={200: StockReport})
    async def audit_stock(request: Request[Any, Any, Any]) -> Response[bytes]:
        """What the auditor of this region has found, as of its last look at the log."""
        admit(request)
        return _json(auditor.report())

    @get("/v1/stock/{sku:str}", gives={200: StockLevelChanged}, refuses=(404,))
    async def show_level(request: Request[Any, Any, Any], sku: FromPath[str]) -> Response[bytes]:
        """A SKU's level in this region."""
        admit(request)
        found = await mesh.last(StockLevelChanged, token(sku, "sku"))
        if found is None:
            raise HTTPException(f"nothing of {sku} was ever received in {mesh.region}", status_code=404)
        return _json(found.event)

    options = shared_options(mesh)
    options["exception_handlers"] |= {InvalidField: _invalid, NotEnough: _conflict, CommandReused: _conflict}
    routes = [command_stock, audit_stock, show_level, documentation("Stock")]
    return Litestar(routes, request_max_body_size=MOST_BYTES, **options)


def _kind(command: str) -> CommandKind:
    for kind in get_args(CommandKind):
        if kind == command:
            known: CommandKind = kind
            return known
    raise HTTPException(f"{command[:40]!r} is none of {', '.join(get_args(CommandKind))}", status_code=404)


def _opened(body: bytes) -> StockCommand:
    try:
        return msgspec.convert(cleaned_texts(msgspec.json.decode(body)), StockCommand)
    except msgspec.ValidationError as error:
        raise HTTPException(str(error), status_code=422) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(f"the body must be a command in JSON: {error}", status_code=400) from None


def _json(value: msgspec.Struct) -> Response[bytes]:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _invalid(_: Request[Any, Any, Any], error: InvalidField) -> Response[bytes]:
    return problem(422, f"{error.path}: {error.reason}")


def _conflict(_: Request[Any, Any, Any], error: NotEnough | CommandReused) -> Response[bytes]:
    return problem(409, str(error))
