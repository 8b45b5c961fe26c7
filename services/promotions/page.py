"""Page: code lists and what is left of them, codes by code, redemptions, and what is committed of budgets."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import UploadFile
from litestar.exceptions import ClientException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Stream

from mesh import Mesh, Money
from mesh.errors import InvalidKey
from mesh.events.code import CodeChanged
from mesh.subjects import token
from mesh.web.audit import note
from mesh.web.console import Console
from mesh.web.guard import require
from mesh.web.roles import MARKETER, PUBLISHER
from services.promotions.code_file import CodeFile, read_codes, without_known
from services.promotions.code_index import CodeIndex
from services.promotions.code_key import code_id
from services.promotions.code_lists import CodeLists

TEMPLATES = Path(__file__).parent / "templates"
WRONG_SHOWN = 50


class BudgetRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a journey has committed in a region, in one currency: of its part, spent, and left; of today, too."""

    journey: str
    region: str
    part: Money | None
    committed: Money
    spent: Money
    left: Money | None
    left_today: Money | None


def page_routes(console: Console, mesh: Mesh, lists: CodeLists, index: CodeIndex) -> list[HTTPRouteHandler]:
    """All of them, below `/offers`."""
    environment = console.templates(TEMPLATES)

    async def show(request: Request[Any, Any, Any], *, status: int = 200, **values: Any) -> Response[bytes]:
        await index.look()
        regions = (mesh.region, *mesh.others)
        counts = {name: {one: await lists.count(name, one) for one in regions} for name in await lists.names()}
        shown = {
            "lists": counts,
            "states": index.states,
            "redemptions": list(index.newest),
            "budgets": budget_rows(index),
            "may_find": request.user.may(MARKETER.name),
            "may_import": request.user.may(PUBLISHER.name),
            "done": "",
            "wrong": (),
            "found": None,
            "asked": "",
            "list_name": "",
        }
        page = console.page(request, environment, "offers.html.j2", {**shown, **values})
        page.status_code = status
        return page

    @get("/")
    async def show_offers(request: Request[Any, Any, Any], done: FromQuery[str] = "") -> Response[bytes]:
        """Lists, redemptions and budgets."""
        return await show(request, done=done)

    @post("/find", status_code=200)
    async def find_code(request: Request[Any, Any, Any]) -> Response[bytes]:
        """One code: its state and who had it. Sent as a form, so that no address and no log has the code."""
        require(request, MARKETER.name)
        asked = str((await request.form()).get("code", "")).strip()
        key = code_id(asked)
        found = []
        for region in (mesh.region, *mesh.others):
            found += await mesh.all_of(CodeChanged, key, region=region)
        note(request, key, found="yes" if found else "no")
        return await show(request, asked=asked, found=found[::-1])

    @post("/import")
    async def import_codes(request: Request[Any, Any, Any]) -> Any:
        """Add the codes of a file to a list; nothing is added while lines are wrong, unless they are to be left out."""
        person = require(request, PUBLISHER.name)
        form = await request.form()
        name, expires = _list_name(str(form.get("list", ""))), _day(str(form.get("expires", "")))
        file = read_codes(await _body(form.get("file"), str(form.get("codes", ""))))
        file = without_known(file, await lists.known(file.codes))
        if not file.codes or (file.wrong and form.get("skip") != "yes"):
            return await show(request, status=422, wrong=_problems(file), list_name=name)
        await lists.add(name, file.codes, expires, person.account.id)
        note(request, name, codes=str(len(file.codes)), left_out=str(len(file.wrong)))
        return Redirect(f"/offers?done={len(file.codes)} codes were added to {name}", status_code=303)

    @get("/lists/{name:str}/used.csv")
    async def export_used(request: Request[Any, Any, Any], name: FromPath[str]) -> Stream:
        """The codes of a list that were handed out: their state, order and time, as CSV."""
        require(request, MARKETER.name)
        codes = await lists.codes(name)
        if not codes:
            raise NotFoundException(f"there is no list {name}")
        headers = {"Content-Disposition": f'attachment; filename="{token(name, "list")}-used.csv"'}
        return Stream(used(mesh, codes), media_type="text/csv; charset=utf-8", headers=headers)

    return [show_offers, find_code, import_codes, export_used]


def budget_rows(index: CodeIndex) -> list[BudgetRow]:
    """One row for each journey, region and currency."""
    rows = []
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for (journey, region), budget in sorted(index.budgets.items()):
        for committed in budget.committed:
            none = Money(amount=0, currency=committed.currency)

            def of(some: tuple[Money, ...], currency: str = committed.currency) -> Money | None:
                return next((one for one in some if one.currency == currency), None)

            part, day = of(budget.budget), of(budget.budget_day)
            if part:  # what was borrowed and lent changes it
                part = part + (of(budget.borrowed) or none) + (of(budget.lent) or none) * -1
            on_day = (of(budget.today) or none) if budget.day == today else none
            rows.append(
                BudgetRow(
                    journey=journey,
                    region=region,
                    part=part,
                    committed=committed,
                    spent=of(budget.spent) or none,
                    left=part and part + committed * -1,
                    left_today=day and day + on_day * -1,
                )
            )
    return rows


async def used(mesh: Mesh, codes: dict[str, list[str]]) -> AsyncIterator[str]:
    """The handed-out codes as CSV. `codes` are a list's, by region."""
    yield "code,state,order,region,changed\r\n"
    for region, some in codes.items():
        for at in range(0, len(some), 500):
            keys = [code_id(code) for code in some[at : at + 500]]
            states = await mesh.last_of_each(CodeChanged, keys, region=region)
            text = io.StringIO()
            for key in keys:
                if key in states:
                    one = states[key]
                    order = one.event.holder.order_id if one.event.holder else ""
                    csv.writer(text).writerow(
                        [_cell(one.event.code), one.event.state, order, region, one.stored.isoformat()]
                    )
            yield text.getvalue()


def _cell(text: str) -> str:
    """A text that a spreadsheet does not take for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


async def _body(sent: Any, typed: str) -> bytes:
    """A file, or what was typed."""
    if isinstance(sent, UploadFile) and (body := await sent.read()):
        return bytes(body)
    return typed.encode()


def _problems(file: CodeFile) -> list[str]:
    lines = [f"Line {one.line}: {one.reason}" if one.line else one.reason for one in file.wrong[:WRONG_SHOWN]]
    if len(file.wrong) > WRONG_SHOWN:
        lines.append(f"and {len(file.wrong) - WRONG_SHOWN} more lines")
    return lines or ["There is no code in it: one in each line, or in a column called code."]


def _list_name(text: str) -> str:
    try:
        return token(text.strip(), "list")
    except InvalidKey:
        words = "give the list a name of letters, digits, - and _, such as summer-2026"
        raise ClientException(words, status_code=422) from None


def _day(text: str) -> datetime | None:
    """The end of a day (UTC), or None."""
    if not text.strip():
        return None
    try:
        day = datetime.fromisoformat(text.strip()).date()
    except ValueError:
        raise ClientException(f"{text[:20]!r} is no day: write it like 2026-12-31", status_code=422) from None
    return datetime.combine(day, time.max, tzinfo=UTC)
