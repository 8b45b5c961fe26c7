"""Page: the stock for the shop's staff: units by warehouse and region, commands as forms, and the audit."""

from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any, get_args

import msgspec
from litestar import Request, Response, get, post
from litestar.exceptions import ClientException, HTTPException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from mesh import Mesh
from mesh.errors import InvalidField
from mesh.events.stock import CommandKind, StockLevelChanged
from mesh.subjects import token
from mesh.web.audit import note
from mesh.web.console import Console
from mesh.web.guard import require
from mesh.web.roles import WAREHOUSE
from services.stock.auditor import Auditor
from services.stock.commands import CommandReused, StockCommand, apply
from services.stock.level import NotEnough
from services.stock.writer import StockWriter

TEMPLATES = Path(__file__).parent / "templates"
SHOWN = 200
CHANGES = 50
FIELDS = ("id", "sku", "warehouse", "to_warehouse", "reason")
COMMANDS: dict[CommandKind, tuple[str, str]] = {
    "receive": ("Receive", "units that came"),
    "adjust": ("Adjust", "units found, or lost with a minus before them"),
    "count": ("Count", "units that lie there now"),
    "transfer": ("Transfer", "units that go to another warehouse of this region"),
}
"""What a person can do with stock, and what its quantity means."""


def page_routes(console: Console, mesh: Mesh, writer: StockWriter, auditor: Auditor) -> list[HTTPRouteHandler]:
    """All of them, below `/stock`."""
    environment = console.templates(TEMPLATES)
    environment.globals |= {"commands": COMMANDS}

    def show(request: Request[Any, Any, Any], template: str, values: dict[str, Any]) -> Response[bytes]:
        forms = {"may_change": request.user.may(WAREHOUSE.name), "command_id": f"console-{token_hex(8)}"}
        return console.page(request, environment, template, {**values, **forms})

    @get("/")
    async def show_stock(request: Request[Any, Any, Any], q: FromQuery[str] = "") -> Response[bytes]:
        """What there is of every SKU in this region and the others, and what the auditor found."""
        report = auditor.report()
        skus = [one.sku for one in report.skus if q.strip().casefold() in one.sku.casefold()]
        levels = await _levels(mesh, skus[:SHOWN])
        values = {"levels": levels, "q": q, "more": max(len(skus) - SHOWN, 0), "report": report}
        return show(request, "stock.html.j2", values)

    @get("/{sku:str}")
    async def show_sku(
        request: Request[Any, Any, Any], sku: FromPath[str], done: FromQuery[str] = ""
    ) -> Response[bytes]:
        """One SKU: its warehouses, what changed it, and the forms."""
        levels = (await _levels(mesh, [token(sku, "sku")])).get(sku)
        if levels is None:
            raise NotFoundException(f"nothing of {sku} was ever received")
        changes = (await mesh.all_of(StockLevelChanged, sku))[-CHANGES:][::-1]
        values = {"sku": sku, "levels": levels, "changes": changes, "done": done, "region_here": mesh.region}
        return show(request, "sku.html.j2", values)

    @post("/command")
    async def change_stock(request: Request[Any, Any, Any]) -> Redirect:
        """Apply a command as a form sends it; the same form sent twice changes the stock once."""
        require(request, WAREHOUSE.name)
        kind, command = _command(await request.form())
        try:
            await apply(writer, kind, command)
        except InvalidField as wrong:
            raise ClientException(f"{wrong.path.removeprefix('$.')}: {wrong.reason}", status_code=422) from None
        except (NotEnough, CommandReused) as refused:
            raise HTTPException(str(refused), status_code=409) from None
        note(request, command.sku, command=kind, warehouse=command.warehouse, quantity=str(command.quantity))
        return Redirect(f"/stock/{command.sku}?done={kind}", status_code=303)

    return [show_stock, show_sku, change_stock]


async def _levels(mesh: Mesh, skus: list[str]) -> dict[str, dict[str, StockLevelChanged]]:
    """SKU -> region -> its newest level, as it has arrived here; SKUs that nobody has are left out."""
    found: dict[str, dict[str, StockLevelChanged]] = {}
    for region in (mesh.region, *mesh.others):
        for sku, level in (await mesh.last_of_each(StockLevelChanged, skus, region=region)).items():
            found.setdefault(sku, {})[region] = level.event
    return {sku: found[sku] for sku in skus if sku in found}


def _command(sent: Mapping[str, Any]) -> tuple[CommandKind, StockCommand]:
    """What a form asks for. Raises 422 with the field that is wrong."""
    fields: dict[str, Any] = {name: str(sent.get(name, "")).strip() for name in FIELDS}
    kind = next((one for one in get_args(CommandKind) if one == sent.get("command")), None)
    if kind is None:
        raise ClientException("choose what is to be done", status_code=422)
    if kind != "transfer":
        fields["to_warehouse"] = None
    try:
        return kind, msgspec.convert(fields | {"quantity": int(str(sent.get("quantity", "")))}, StockCommand)
    except msgspec.ValidationError as wrong:
        raise ClientException(f"a field is wrong: {wrong}", status_code=422) from None
    except ValueError:
        raise ClientException("the quantity must be a whole number", status_code=422) from None
