"""Foreign requests: the addresses of the adapters that services declare; what follows is stored as any other event."""

import zlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from mesh.accept import SERVER
from mesh.lenient_json import encoded
from mesh.runtime.discovery import discover
from mesh.translate import Adapter, Foreign, NotUnderstood, Translated, Translation, Unreadable
from mesh.web.signature import BadSignature
from services.gateway.intake import MOST_BYTES, MOST_EVENTS
from services.gateway.judged import Ignored, Provenance, Rejected, Sender
from services.gateway.request_body import body_of
from services.gateway.seen import Seen
from services.gateway.write_side import Verdict, WriteSide

WANTED = "the key as the source's own libraries send it, or `Authorization: Bearer <key>`"


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a request's parts; indexes are those of the parts as they were sent."""

    success: bool
    accepted: int
    duplicates: int
    rejected: list[Rejected]
    ignored: list[Ignored] = []
    not_understood: list[NotUnderstood] = []


def translations() -> list[Translation]:
    """Every adapter that the discovered services declare."""
    return [one for service in discover() for one in service.translations]


def foreign_routes(translations: Iterable[Translation], write_side: WriteSide) -> list[HTTPRouteHandler]:
    """One route for each declared adapter; adapters are built here, once."""
    return [_route(one, one.build(), write_side) for one in translations]


def _route(declared: Translation, adapter: Adapter, write_side: WriteSide) -> HTTPRouteHandler:

    encode = msgspec.json.Encoder().encode

    @post(list(declared.paths), status_code=adapter.accepted)
    async def take_foreign(request: Request[Any, Any, Any]) -> Response[bytes]:
        with write_side.reports.seeing(declared.source, request.url.path) as seen:
            seen.status, answer = await _take(request, declared, adapter, write_side, seen)
        return Response(encode(answer), status_code=seen.status, media_type="application/json")

    return take_foreign


async def _take(
    request: Request[Any, Any, Any], declared: Translation, adapter: Adapter, write_side: WriteSide, seen: Seen
) -> tuple[int, Answer]:
    """The status and the answer. Raises 400, 401, 403, 413 and 429, and Unavailable."""
    body = _decompressed(await body_of(request), request.headers.get("content-encoding", ""))
    foreign = Foreign(
        path=request.url.path,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        received=datetime.now(UTC),
    )
    if adapter.greets is not None and adapter.greets(foreign):
        write_side.guard.admit(request, None)
        return adapter.accepted, Answer(success=True, accepted=0, duplicates=0, rejected=[])
    sender = seen.sender = _sender(request, foreign, declared, adapter, write_side)
    try:
        translated = understood(foreign, sender, adapter, seen)
    except HTTPException:
        write_side.guard.admit(request, sender, size=len(body))
        raise
    answer = await stored(
        translated, sender, write_side, seen, request=request, route=declared.paths[0], received=foreign.received
    )
    refused = bool(answer.rejected) and not answer.accepted and not answer.not_understood
    return (adapter.refused if refused else adapter.accepted), answer


def understood(foreign: Foreign, sender: Sender, adapter: Adapter, seen: Seen) -> Translated:
    """What a request means. Raises 400 and 413."""
    try:
        translated = adapter.translate(replace(foreign, by=sender.by))
    except Unreadable as wrong:
        raise HTTPException(str(wrong), status_code=HTTPStatus.BAD_REQUEST) from None
    seen.items, seen.not_understood = translated.items, translated.not_understood
    seen.names = _names(translated)
    if max(len(translated.items), len(translated.events)) > MOST_EVENTS:
        raise HTTPException(f"at most {MOST_EVENTS} events in a request: send several", status_code=413)
    return translated


async def stored(
    translated: Translated,
    sender: Sender,
    write_side: WriteSide,
    seen: Seen,
    *,
    request: Request[Any, Any, Any] | None,
    route: str,
    received: datetime,
) -> Answer:
    """What became of a request's parts, once all of it is stored. Raises 429, and Unavailable."""
    verdict = await write_side.take(
        request,
        [_raw(one.fields) for one in translated.events],
        sender,
        route=route,
        received=received,
        wrong={at: one.wrong for at, one in enumerate(translated.events) if one.wrong},
        provenance=Provenance(estimated=translated.estimated, restated=translated.restated),
        opened=[one.fields for one in translated.events],
    )
    answer = _answer(verdict, translated)
    seen.rejected, seen.ignored = answer.rejected, answer.ignored
    seen.accepted, seen.duplicates = answer.accepted, answer.duplicates
    return answer


def _sender(
    request: Request[Any, Any, Any], foreign: Foreign, declared: Translation, adapter: Adapter, write_side: WriteSide
) -> Sender:
    """Whose request it is. Raises 401 and 403."""
    if adapter.signed is None:
        if adapter.key is None:
            return write_side.guard.sender(request, None)
        return write_side.guard.sender_of(request, adapter.key(foreign), WANTED)
    try:
        name = adapter.signed(foreign)
    except BadSignature as bad:
        write_side.guard.admit(request, None)
        raise HTTPException(str(bad), status_code=401, headers={"WWW-Authenticate": "Signature"}) from None
    return Sender(scope=f"{declared.source}_{name}", by=SERVER, types=adapter.types)


def _answer(verdict: Verdict, translated: Translated) -> Answer:
    """The verdict by the items that were sent."""
    items = [one.item for one in translated.events]
    return Answer(
        success=not verdict.rejected,
        accepted=verdict.accepted,
        duplicates=verdict.duplicates,
        rejected=[msgspec.structs.replace(one, index=items[one.index]) for one in verdict.rejected],
        ignored=[msgspec.structs.replace(one, index=items[one.index]) for one in verdict.ignored],
        not_understood=[msgspec.structs.replace(one, name=_printable(one.name)) for one in translated.not_understood],
    )


def _printable(text: str) -> str:
    """A text that can be written into an answer, whatever was sent."""
    return text[:128].encode("utf-8", "backslashreplace").decode()


def _names(translated: Translated) -> list[str]:
    """What each item became, by its place; what was not understood by the name that it gives itself."""
    names = ["" for _ in translated.items]
    for unknown in translated.not_understood:
        names[unknown.index] = unknown.name
    for one in reversed(translated.events):
        names[one.item] = str(one.fields.get("type", ""))
    return names


def _raw(fields: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(encoded(fields))


def _decompressed(body: bytes, encoding: str) -> bytes:
    """The bytes of a body. Raises 400 for what is no gzip, 413 for more than `MOST_BYTES`, 415 for other encodings."""
    if encoding.lower() in ("", "identity"):
        return body
    if encoding.lower() not in ("gzip", "x-gzip"):
        raise HTTPException(f"Content-Encoding {encoding[:20]!r}: send gzip, or none", status_code=415)
    opened = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = opened.decompress(body, MOST_BYTES + 1)
    except zlib.error as error:
        raise HTTPException(f"the body is no gzip: {error}", status_code=400) from None
    if len(found) > MOST_BYTES:
        raise HTTPException("the body is over 1 MiB: send several requests", status_code=413)
    if not opened.eof:
        raise HTTPException("the body is cut off: its gzip has no end", status_code=400)
    return found
