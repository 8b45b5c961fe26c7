"""The gateway's HTTP interface: `POST /v1/events`, the live offers of a visitor, and its documentation."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.config.cors import CORSConfig
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery, HeaderParameter
from litestar.response import Stream
from prometheus_client import Counter

from mesh import Mesh, settings
from mesh.accept import PAGE
from mesh.errors import DeclarationError, InvalidField
from mesh.observability import tracing
from mesh.runtime.hosting import Hosted
from mesh.runtime.serving import HttpSettings, files_for_connections
from mesh.subjects import token
from mesh.web.application import event_stream_response, shared_options
from mesh.web.client_address import address_of
from mesh.web.server_keys import bearer
from mesh.web.signature import BadSignature
from services.gateway.bots import Bots, BotSettings
from services.gateway.documentation import pages
from services.gateway.intake import (
    MOST_BYTES,
    MOST_EVENTS,
    Ignored,
    Intake,
    IntakeSettings,
    Judged,
    Rejected,
    Sender,
)
from services.gateway.keys import Keys, KeySettings
from services.gateway.live import LiveOffers, LiveSettings
from services.gateway.origins import Origins, OriginSettings
from services.gateway.rates import Rates, RateSettings
from services.gateway.readiness import readiness
from services.gateway.request_body import open_request
from services.gateway.script import files
from services.gateway.store import Outcome, Store, StoreSettings

SIGNATURE = "Cartmesh-Signature"
"""The header in which a party without a key sends the signature of its request."""
EVENTS = Counter("cartmesh_gateway_events_total", "Storefront events, by what became of them.", ["outcome"])


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a request's events. Duplicates count as accepted: they are stored, once.

    `ignored` are fields that could not be taken; their events were.
    """

    accepted: int
    duplicates: int
    rejected: list[Rejected]
    ignored: list[Ignored] = []


class AccessGuard:
    """Who may send, and how often."""

    def __init__(self, keys: Keys, rates: RateSettings, origins: Origins, bots: Bots) -> None:
        self._keys, self._proxies, self._origins, self._bots = keys, rates.trusted_proxies, origins, bots
        self._rates = Rates(rates)

    def sender(self, request: Request[Any, Any, Any], query: str | None) -> Sender:
        """Whose key the request has. Raises 401, and 403 for a page the key is not meant for."""
        header = bearer(request.headers.get("authorization"))
        sender = self._keys.sender(header, query)
        if sender is not None and self._origins.refuse(header or query, origin := request.headers.get("origin")):
            raise HTTPException(
                f"this key is not for pages of {origin}; a key's pages are the setting CARTMESH_KEY_ORIGINS",
                status_code=403,
            )
        if sender is None:
            self.admit(request, None)
            raise HTTPException(
                "send `Authorization: Bearer <write key>`; the gateway's keys are its setting CARTMESH_WRITE_KEYS",
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
        return sender

    async def signer(self, request: Request[Any, Any, Any]) -> Sender | None:
        """Who signed the request; None for one without a signature. Raises 401, and 413 for a body that is too long."""
        if (given := request.headers.get(SIGNATURE)) is None:
            return None
        try:
            return self._keys.signer(await _body(request), given)
        except BadSignature as bad:
            self.admit(request, None)
            raise HTTPException(
                f"{SIGNATURE}: {bad}; the secrets are the gateway's setting CARTMESH_WEBHOOK_SECRETS",
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            ) from None

    def judged(self, request: Request[Any, Any, Any], sender: Sender) -> Sender:
        """The sender, with what shows that it is a bot. The shop's own servers are none, and neither is who signs."""
        bot = None if sender.by != PAGE else self._bots.named(request.headers.get("user-agent"))
        return sender if bot is None else replace(sender, bot=bot)

    def admit(self, request: Request[Any, Any, Any], sender: Sender | None, *, count: int = 1, size: int = 0) -> None:
        """Take `count` events of together `size` bytes from the allowances. Raises 429."""
        by_server = sender is not None and sender.by != PAGE
        address = None if by_server else address_of(request, self._proxies)
        if wait := self._rates.take(key=sender and sender.scope, address=address, events=count, size=size):
            seconds = int(wait) + 1
            raise HTTPException(
                f"too much at once: {count} events of {size} bytes can be sent in {seconds} s",
                status_code=429,
                headers={"Retry-After": str(seconds)},
            )


def build(mesh: Mesh, offers: LiveOffers, hosted: Mapping[str, Hosted]) -> Litestar:
    """The app; settings are read from the environment here, once."""
    origins = Origins(settings.read(OriginSettings))
    keys = Keys(settings.read(KeySettings))
    guard = AccessGuard(keys, settings.read(RateSettings), origins, Bots(settings.read(BotSettings)))
    intake = Intake(hosted, settings.read(IntakeSettings), keys.signed)
    store = Store(mesh, settings.read(StoreSettings))
    live = settings.read(LiveSettings)
    if live.live_pages >= (most := settings.read(HttpSettings).http_connections):
        raise DeclarationError(
            f"CARTMESH_LIVE_PAGES={live.live_pages}: each page holds a connection, and there are {most}; "
            "set CARTMESH_HTTP_CONNECTIONS higher, or events would not get in"
        )
    room = min(most, files_for_connections()) * 9 // 10
    live = msgspec.structs.replace(live, live_pages=min(live.live_pages, room))
    return Litestar(
        [
            _events(guard, intake, store),
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
        **shared_options(mesh),
    )


def _events(guard: AccessGuard, intake: Intake, store: Store):  # noqa: ANN202  a route handler
    encode = msgspec.json.Encoder().encode

    @post(["/v1/events", "/v1/updates"], status_code=202)
    async def take_events(request: Request[Any, Any, Any], key: FromQuery[str | None] = None) -> Response[bytes]:
        """Store a storefront's events; the answer comes once JetStream has acknowledged them. 422: all are rejected.

        A page that closes has no time to ask whether it may send headers: `?key=` is taken too.
        """
        sender = await guard.signer(request) or guard.sender(request, key)
        raw_events = _open(await _body(request))
        size = sum(memoryview(raw).nbytes for raw in raw_events)
        guard.admit(request, sender, count=max(1, len(raw_events)), size=size)
        judged = intake.judge(raw_events, guard.judged(request, sender), datetime.now(UTC))
        attributes = {"http.request.method": "POST", "http.route": "/v1/events", "cartmesh.events": len(raw_events)}
        parent = request.headers.get("traceparent")
        with tracing.span("POST /v1/events", "server", service="gateway", parent=parent, attributes=attributes) as work:
            outcomes = await store.store(judged.valid, work.trace, judged.refusals)
        verdict = _verdict(judged, outcomes)
        status = 422 if verdict.rejected and not verdict.accepted else 202
        return Response(encode(verdict), status_code=status, media_type="application/json")

    return take_events


def _verdict(judged: Judged, outcomes: Mapping[int, Outcome]) -> Verdict:
    """The answer to a request, counted."""
    duplicates = accepted = judged.repeated
    rejected = list(judged.rejected)
    for one in judged.valid:
        match outcomes[one.index]:
            case InvalidField(path=path, reason=reason):
                rejected.append(Rejected(index=one.index, id=one.id, path=path, reason=reason))
            case outcome:
                accepted += 1
                duplicates += outcome == "duplicate"
    rejected.sort(key=lambda refused: refused.index)
    for label, count in (
        ("accepted", accepted - duplicates),
        ("duplicate", duplicates),
        ("bot", judged.bots),
        ("rejected", len(rejected) - judged.bots),
    ):
        EVENTS.labels(label).inc(count)
    return Verdict(accepted=accepted, duplicates=duplicates, rejected=rejected, ignored=judged.ignored)


async def _body(request: Request[Any, Any, Any]) -> bytes:
    """The bytes of a request. Raises 413."""
    try:
        return await request.body()
    except HTTPException as error:
        if error.status_code != 413:
            raise
        raise HTTPException("the body is over 1 MiB: send several requests", status_code=413) from None


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
