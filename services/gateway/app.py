"""The gateway's HTTP interface: `POST /v1/events`, the live offers of a visitor, and its documentation."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.config.cors import CORSConfig
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery, HeaderParameter
from litestar.response import Stream

from mesh import Mesh, settings
from mesh.errors import DeclarationError
from mesh.runtime.hosting import Hosted
from mesh.runtime.serving import HttpSettings, files_for_connections
from mesh.subjects import token
from mesh.web.application import event_stream_response, shared_options
from services.gateway.access import AccessGuard
from services.gateway.bots import Bots, BotSettings
from services.gateway.connection_reports import ConnectionReports
from services.gateway.documentation import pages
from services.gateway.feeds import Feeds, declared_feeds
from services.gateway.foreign import foreign_routes, translations
from services.gateway.intake import MOST_BYTES, MOST_EVENTS, Intake, IntakeSettings
from services.gateway.judged import Provenance
from services.gateway.keys import Keys, KeySettings
from services.gateway.live import LiveOffers, LiveSettings
from services.gateway.origins import Origins, OriginSettings
from services.gateway.rates import RateSettings
from services.gateway.readiness import readiness
from services.gateway.request_body import body_of, open_request
from services.gateway.script import files
from services.gateway.seen import Seen, types_of
from services.gateway.store import Store, StoreSettings
from services.gateway.write_side import AS_USUAL, Verdict, WriteSide


def build(mesh: Mesh, offers: LiveOffers, hosted: Mapping[str, Hosted]) -> Litestar:
    """The app; settings are read from the environment here, once."""
    origins = Origins(settings.read(OriginSettings))
    keys = Keys(settings.read(KeySettings))
    guard = AccessGuard(keys, settings.read(RateSettings), origins, Bots(settings.read(BotSettings)))
    intake = Intake(hosted, settings.read(IntakeSettings), keys.signed)
    write_side = WriteSide(guard, intake, Store(mesh, settings.read(StoreSettings)), ConnectionReports(mesh))
    live = settings.read(LiveSettings)
    if live.live_pages >= (most := settings.read(HttpSettings).http_connections):
        raise DeclarationError(
            f"CARTMESH_LIVE_PAGES={live.live_pages}: each page holds a connection, and there are {most}; "
            "set CARTMESH_HTTP_CONNECTIONS higher, or events would not get in"
        )
    room = min(most, files_for_connections()) * 9 // 10
    live = msgspec.structs.replace(live, live_pages=min(live.live_pages, room))
    feeds = Feeds(declared_feeds(), write_side)
    return Litestar(
        [
            *_events(guard, write_side),
            *foreign_routes(translations(), write_side),
            _live_offers(guard, offers, live),
            readiness(mesh),
            *files(),
            *pages(hosted),
        ],
        cors_config=CORSConfig(
            allow_origins=origins.all,
            allow_methods=["GET", "POST", "OPTIONS"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID", "traceparent"],
            expose_headers=["Retry-After", "Date"],
        )
        if origins.all
        else None,
        request_max_body_size=MOST_BYTES,
        on_startup=[feeds.start],
        on_shutdown=[feeds.stop, write_side.reports.flush],
        **shared_options(mesh),
    )


def _events(guard: AccessGuard, write_side: WriteSide):  # noqa: ANN202  a route handler
    encode = msgspec.json.Encoder().encode

    async def taken(
        request: Request[Any, Any, Any], key: str | None, seen: Seen, provenance: Provenance = AS_USUAL
    ) -> Verdict:
        seen.sender = sender = await guard.signer(request) or guard.sender(request, key)
        seen.items = raw_events = _open(await body_of(request))
        verdict = await write_side.take(
            request,
            raw_events,
            sender,
            route="/v1/history" if provenance.history else "/v1/events",
            received=datetime.now(UTC),
            provenance=provenance,
        )
        seen.accepted, seen.duplicates = verdict.accepted, verdict.duplicates
        seen.rejected, seen.ignored = verdict.rejected, verdict.ignored
        seen.names = types_of(raw_events)
        return verdict

    @post(["/v1/events", "/v1/updates"], status_code=202)
    async def take_events(request: Request[Any, Any, Any], key: FromQuery[str | None] = None) -> Response[bytes]:
        """Store a storefront's events; the answer comes once JetStream has acknowledged them. 422: all are rejected.

        A page that closes has no time to ask whether it may send headers: `?key=` is taken too.
        """
        with write_side.reports.seeing("cartmesh", request.url.path) as seen:
            verdict = await taken(request, key, seen)
            seen.status = 422 if verdict.rejected and not verdict.accepted else 202
        return Response(encode(verdict), status_code=seen.status, media_type="application/json")

    @post("/v1/history", status_code=202)
    async def take_history(request: Request[Any, Any, Any], again: FromQuery[bool] = True) -> Response[bytes]:
        """Store what happened before the shop used Cartmesh: nobody acts on it. With `again=false` none is looked up.

        Whoever says so knows that none of these events was sent before, but in the last two minutes.
        """
        with write_side.reports.seeing("history", request.url.path) as seen:
            verdict = await taken(request, None, seen, Provenance(history=True, again=again))
            seen.status = 422 if verdict.rejected and not verdict.accepted else 202
        return Response(encode(verdict), status_code=seen.status, media_type="application/json")

    return [take_events, take_history]


def _open(body: bytes) -> list[msgspec.Raw]:
    """The raw events. Raises 400 and 413."""
    try:
        raw_events = open_request(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(f'the body must be {{"events": [...]}} in JSON: {error}', status_code=400) from None
    if len(raw_events) > MOST_EVENTS:
        raise HTTPException(
            f"at most {MOST_EVENTS} events in a request, not {len(raw_events)}: send several", status_code=413
        )
    return raw_events


def _live_offers(guard: AccessGuard, offers: LiveOffers, live: LiveSettings):  # noqa: ANN202  a route handler
    @get(["/v1/visitors/{visitor_id:str}/offers/live", "/v1/cards/{visitor_id:str}"])
    async def stream_offers(
        request: Request[Any, Any, Any],
        visitor_id: FromPath[str],
        key: FromQuery[str | None] = None,
        last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None,
    ) -> Stream:
        """A visitor's live offer now and each one to come. EventSource has no headers: `?key=` is taken too."""
        guard.admit(request, guard.sender(request, key))
        token(visitor_id, "visitor_id")
        if offers.pages.open >= live.live_pages or offers.pages_of(visitor_id) >= live.live_pages_each:
            raise HTTPException("too many pages are open", status_code=429, headers={"Retry-After": "30"})
        behind = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else None
        stream: AsyncIterator[bytes] = offers.stream(visitor_id, behind=behind, heartbeat=live.live_heartbeat)
        return event_stream_response(stream)

    return stream_offers
