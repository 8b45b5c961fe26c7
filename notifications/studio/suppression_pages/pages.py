"""Pages: counts for everybody who looks; an address for marketers; lifting, importing and exporting for fewer.

An address that somebody types is made a digest here and goes nowhere else: not into an event, a log or an address bar.
Who may lift what says decision 43.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, cast

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import UploadFile
from litestar.exceptions import PermissionDeniedException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from mesh import Mesh
from mesh.errors import Unavailable
from mesh.web.audit import note
from mesh.web.console import Console
from mesh.web.guard import require
from mesh.web.roles import ADMIN, MARKETER, PUBLISHER
from notifications.channels.delivery_errors import reason_of
from notifications.mail_reports.requests import Done, ImportedPart, Suppress
from notifications.studio.studio import Studio
from notifications.suppression_list import NoList, ReadList, digest_of, exported, import_list, name_of
from notifications.suppressions import BY_OWNER, MANUAL, Entry, read_counts, standing_of, words_of

PATH = "/suppressions"
LARGEST_LIST = 32 * 1024 * 1024
"""Bytes of a list that is imported here; of a larger one `cartmesh suppressions import` takes care."""
PATIENCE = timedelta(seconds=30)
LONGEST_NOTE = 200
_digest = re.compile(r"[0-9a-f]{32}").fullmatch


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows besides the counts: an address that was looked up, a list that was read, a message."""

    address: str = ""
    entry: Entry | None = None
    read: ReadList | None = None
    message: str = ""
    kind: str = "good"


class SuppressionPages:
    """What the routes share."""

    def __init__(self, console: Console, mesh: Mesh) -> None:
        self.studio, self.mesh = Studio(console, mesh, PATH), mesh

    async def show(
        self, request: Request[Any, Any, Any], shown: Shown | None = None, *, status: int = 200
    ) -> Response[bytes]:
        """The whole page."""
        counts = await read_counts(self.mesh)
        values = {
            "counts": counts,
            "total": sum(counts.values()),
            "words_of": words_of,
            "by_owner": BY_OWNER,
            "shown": shown or Shown(),
            "roles": {"marketer": MARKETER.name, "publisher": PUBLISHER.name, "admin": ADMIN.name},
        }
        return self.studio.show(request, "suppressions.html.j2", values, status=status)

    async def found(self, request: Request[Any, Any, Any], address: str, message: str = "") -> Response[bytes]:
        """The page with what is known of an address (a digest)."""
        standing = await standing_of(address, self.mesh)
        return await self.show(request, Shown(address=address, entry=standing.entry, message=message))

    async def ask(self, asked: Suppress) -> bool:
        """Have the list changed; whether anything was."""
        return (await self.mesh.ask("mail-reports", "suppress-address", asked, Done, within=PATIENCE)).changed


def routes(console: Console, mesh: Mesh) -> list[Any]:
    """All below `/suppressions`."""
    pages = SuppressionPages(console, mesh)

    @get("/")
    async def show_suppressions(request: Request[Any, Any, Any]) -> Response[bytes]:
        """How many addresses are suppressed, by reason."""
        return await pages.show(request)

    return [show_suppressions, *_address_routes(pages), *_list_routes(pages, mesh), pages.studio.files]


def _address_routes(pages: SuppressionPages) -> list[HTTPRouteHandler]:
    @post("/look-up", status_code=200)
    async def look_up_address(request: Request[Any, Any, Any]) -> Response[bytes]:
        """How it stands with one address. A form, so that no address is in the address bar; it is put on record."""
        require(request, MARKETER.name)
        typed = str((await request.form()).get("address", "")).strip()
        address = digest_of(typed)
        if address is None:
            wanted = "type one such as ada@example.com, or a number such as +4930901820"
            shown = Shown(message=f"That is no e-mail address: {wanted}.", kind="bad")
            return await pages.show(request, shown, status=422)
        note(request, address)
        return await pages.found(request, address)

    @post("/suppress", status_code=200)
    async def suppress_address(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Put an address on the list by hand."""
        person, form = require(request, MARKETER.name), await request.form()
        address = _address(form.get("digest"))
        if address is None:
            return await pages.show(request, Shown(message="Look the address up first.", kind="bad"), status=422)
        asked = Suppress(address=address, suppressed=True, reason=MANUAL, by=person.account.id, note=_note(form))
        changed = await pages.ask(asked)
        note(request, address, reason=MANUAL)
        return await pages.found(request, address, _said(changed, "Nothing is sent to it from now on."))

    @post("/release", status_code=200)
    async def release_address(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Take an address off the list. A complaint only by an administrator, to whom its owner has said so."""
        person, form = require(request, PUBLISHER.name), await request.form()
        address = _address(form.get("digest"))
        if address is None:
            return await pages.show(request, Shown(message="Look the address up first.", kind="bad"), status=422)
        entry = (await standing_of(address, pages.mesh)).entry
        reason = entry.reason if entry else MANUAL
        if reason in BY_OWNER and not person.may(ADMIN.name):
            raise PermissionDeniedException("this is lifted by an administrator, or by the owner of the address")
        if reason in BY_OWNER and not (form.get("asked") and _note(form)):
            message = "Say that the owner of the address asked for it, and how you know."
            shown = Shown(address=address, entry=entry, message=message, kind="bad")
            return await pages.show(request, shown, status=422)
        asked = Suppress(address=address, suppressed=False, reason=reason, by=person.account.id, note=_note(form))
        changed = await pages.ask(asked)
        note(request, address, reason=reason)
        return await pages.found(request, address, _said(changed, "It may be written to again, where it is allowed."))

    return [look_up_address, suppress_address, release_address]


def _list_routes(pages: SuppressionPages, mesh: Mesh) -> list[HTTPRouteHandler]:
    async def send(part: ImportedPart) -> None:
        await mesh.ask("mail-reports", "import-part", part, Done, within=PATIENCE)

    @post("/import", status_code=200, request_max_body_size=LARGEST_LIST)
    async def import_addresses(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Suppress the addresses of a CSV file. Lines without an address are named and change nothing."""
        person = require(request, PUBLISHER.name)
        file = (await request.form()).get("file")
        if not isinstance(file, UploadFile) or not file.filename:
            return await pages.show(request, Shown(message="Choose a file first.", kind="bad"), status=422)
        opened, now = cast("BinaryIO", file.file), datetime.now(UTC)
        named = await asyncio.to_thread(name_of, opened)
        try:
            read = await import_list(opened, send, named=named, by=person.account.id, at=now, pause=_pause)
        except NoList as error:
            return await pages.show(request, Shown(message=f"Nothing was imported: {error}.", kind="bad"), status=422)
        except Unavailable:
            message = (
                "Not all of it could be stored just now. Import the file again: what is stored is not stored twice."
            )
            return await pages.show(request, Shown(message=message, kind="bad"), status=503)
        note(request, named, addresses=str(read.addresses), lines=str(read.lines), refused=str(read.refused))
        return await pages.show(request, Shown(read=read))

    @post("/export", status_code=200)
    async def export_addresses(request: Request[Any, Any, Any]) -> Stream:
        """The whole list as CSV: digests, with reason and time. It is put on record."""
        require(request, ADMIN.name)
        note(request, "suppressions")
        headers = {"Content-Disposition": 'attachment; filename="suppressions.csv"', "Cache-Control": "no-store"}
        return Stream(_encoded(exported(mesh)), media_type="text/csv; charset=utf-8", headers=headers)

    return [import_addresses, export_addresses]


async def _encoded(lines: AsyncIterator[str]) -> AsyncIterator[bytes]:
    async for part in lines:
        yield part.encode()


async def _pause() -> None:
    await asyncio.sleep(0)


def _address(given: Any) -> str | None:
    return str(given) if _digest(str(given)) else None


def _note(form: Any) -> str:
    """What somebody wrote about it, without any address in it."""
    return reason_of(str(form.get("note", "")))[:LONGEST_NOTE].strip()


def _said(changed: bool, words: str) -> str:
    return words if changed else "It was so already."
