"""Pages: find a person by id, address or number, see what is known of them, and have them erased everywhere."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from litestar import Request, Response, get, post
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from mesh import Mesh
from mesh.errors import InvalidKey
from mesh.events.profile import ProfileErased
from mesh.subjects import token
from mesh.web.audit import note
from mesh.web.console import Console
from mesh.web.guard import require
from mesh.web.roles import ADMIN
from services.identity.erasure import Found, PersonKey, found, proofs, request_erasure
from services.identity.people.exported import export_person
from services.identity.people.person import FIELDS, read_person
from services.identity.rules import number_of

TEMPLATES = Path(__file__).parent / "templates"
CLOCKS = timedelta(seconds=5)
"""By how much the clocks of servers may differ."""
LONGEST = 320
"""An e-mail address has no more characters (RFC 5321)."""
ERASE = "erase"
"""What is typed so that nobody is erased by a slip."""


def people_routes(console: Console, mesh: Mesh) -> list[HTTPRouteHandler]:
    """All of them, below `/people`."""
    shown = _Shown(console, mesh)
    return [*_finding(shown), *_one(shown)]


class _Shown:
    """How the pages are shown."""

    def __init__(self, console: Console, mesh: Mesh) -> None:
        self.console, self.mesh = console, mesh
        self._environment = console.templates(TEMPLATES)
        self._environment.globals |= {"fields": FIELDS, "erase": ERASE}

    def search(self, request: Request[Any, Any, Any], *, nobody: bool = False) -> Response[bytes]:
        """The form."""
        status = 404 if nobody else 200
        return self.console.page(request, self._environment, "people.html.j2", {"nobody": nobody}, status=status)

    async def person(
        self,
        request: Request[Any, Any, Any],
        visitor: str,
        *,
        personal: bool = False,
        proven: Mapping[str, ProfileErased | None] | None = None,
    ) -> Response[bytes]:
        """One person; with `personal` what they said of themselves, with `proven` how far their erasure is."""
        try:
            person = await read_person(self.mesh, token(visitor, "visitor"))
        except InvalidKey:
            person = None
        known = person is not None and (person.is_known or proven is not None)
        values = {
            "shopper": person if known else None,
            "asked": visitor,
            "personal": personal,
            "proven": proven,
            "may_erase": request.user.may(ADMIN.name),
        }
        return self.console.page(request, self._environment, "person.html.j2", values, status=200 if known else 404)


def _finding(shown: _Shown) -> list[HTTPRouteHandler]:
    @get("/")
    async def show_search(request: Request[Any, Any, Any]) -> Response[bytes]:
        """The form."""
        return shown.search(request)

    @post("/")
    async def find_person(request: Request[Any, Any, Any]) -> Response[Any]:
        """Who has this address, number or id. What was asked for is in no URL, and in the audit as a digest."""
        asked = str((await request.form()).get("asked", "")).strip()
        if not asked or len(asked) > LONGEST:
            raise ClientException(
                "write an e-mail address, a telephone number, or the id of a customer or visitor", status_code=422
            )
        person = await _find(asked, shown.mesh)
        by = "address" if "@" in asked else "number" if _number(asked) else "id"
        note(request, person.request if person else "", by=by)
        if person is None:
            return shown.search(request, nobody=True)
        return Redirect(f"/people/{person.visitors[0]}", status_code=303)

    return [show_search, find_person]


def _one(shown: _Shown) -> list[HTTPRouteHandler]:
    @get("/{visitor_id:str}")
    async def show_person(
        request: Request[Any, Any, Any],
        visitor_id: FromPath[str],
        erased: FromQuery[str] = "",
        since: FromQuery[str] = "",
    ) -> Response[bytes]:
        """One person, without what they said of themselves; after an erasure, which regions have confirmed it."""
        if not erased:
            return await shown.person(request, visitor_id)
        proven = await proofs(token(erased, "request"), shown.mesh, since=_moment(since), within=timedelta(0))
        return await shown.person(request, visitor_id, proven=proven)

    @post("/{visitor_id:str}/details", status_code=200)
    async def read_details(request: Request[Any, Any, Any], visitor_id: FromPath[str]) -> Response[bytes]:
        """The same, with what they said of themselves."""
        require(request, ADMIN.name)
        note(request, PersonKey(visitor_id=visitor_id).digest())
        return await shown.person(request, visitor_id, personal=True)

    @post("/{visitor_id:str}/export", status_code=200)
    async def export_what_is_held(request: Request[Any, Any, Any], visitor_id: FromPath[str]) -> Response[bytes]:
        """A file for whoever asks what is held of them. That it was made is put on record."""
        require(request, ADMIN.name)
        try:
            held = await export_person(shown.mesh, token(visitor_id, "visitor"))
        except InvalidKey as error:
            raise ClientException(str(error), status_code=404) from None
        note(request, PersonKey(visitor_id=visitor_id).digest())
        named = f'attachment; filename="person-{shown.mesh.region}.json"'
        headers = {"Content-Disposition": named, "Cache-Control": "no-store"}
        return Response(held, media_type="application/json", headers=headers)

    @post("/{visitor_id:str}/erase")
    async def erase_person(request: Request[Any, Any, Any], visitor_id: FromPath[str]) -> Redirect:
        """Ask every region to erase them. It cannot be undone."""
        require(request, ADMIN.name)
        if str((await request.form()).get("confirm", "")).strip().lower() != ERASE:
            raise ClientException(f"nobody is erased: write {ERASE} into the field first", status_code=422)
        began = datetime.now(UTC) - CLOCKS
        person = await request_erasure(PersonKey(visitor_id=token(visitor_id, "visitor")), shown.mesh)
        note(request, person.request, visitors=str(len(person.visitors)), names=str(len(person.names)))
        asked = f"erased={person.request}&since={began.timestamp():.0f}"
        return Redirect(f"/people/{visitor_id}?{asked}", status_code=303)

    return [show_person, read_details, export_what_is_held, erase_person]


async def _find(asked: str, mesh: Mesh) -> Found | None:
    """Who has this address or number; or is this visitor, or else this customer."""
    if "@" in asked:
        person = await found(PersonKey(email=asked), mesh)
        return person if person.visitors else None
    if number := _number(asked):
        person = await found(PersonKey(phone=number), mesh)
        return person if person.visitors else None
    by_customer = await found(PersonKey(customer_id=asked), mesh)
    if by_customer.visitors:
        return by_customer
    try:
        known = await read_person(mesh, token(asked, "visitor"))
    except InvalidKey:
        return None
    return await found(PersonKey(visitor_id=asked), mesh) if known.is_known else None


def _number(asked: str) -> str | None:
    """The telephone number that was asked for; such begin with + and the country's code, as no id does."""
    return number_of(asked) if asked.startswith("+") else None


def _moment(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.min.replace(tzinfo=UTC)
