"""Guard: what stands before every page: who is it, may they, does the request come from our page, and the audit."""

from collections.abc import Callable
from functools import partial
from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from mesh.mesh import Mesh
from mesh.web import audit, csrf
from mesh.web.cookies import Cookies
from mesh.web.session_stream import SessionStream
from mesh.web.sessions import Person, Sessions
from mesh.web.static_files import STATIC

PUBLIC = "public"
"""The option (`opt={PUBLIC: True}`) of a route that needs no sign-in although its page does."""

TOKENS = "tokens"
"""The option (`opt={TOKENS: True}`) of a route whose changes an API token may make, without what forms carry."""


CHANGES_NOTHING = "changes-nothing"
"""The option (`opt={CHANGES_NOTHING: True}`) of a route whose form changes nothing: it is not put on record."""


class Guard:
    """The access guard of one service's pages."""

    def __init__(self, mesh: Mesh, sessions: Sessions, cookies: Cookies) -> None:
        self._mesh, self._sessions, self._cookies = mesh, sessions, cookies

    def requires(self, role: str) -> Callable[[ASGIApp], ASGIApp]:
        """The middleware of a page: 401 without a session, 403 without the role or from another site.

        Routes with the option `PUBLIC` are open to everybody; their forms are protected all the same. A request with an
        API token in its head needs no such protection, as no browser sends one by itself: it may change what routes
        with the option `TOKENS` change, and nothing else, such as passwords or further tokens.
        """

        def wrap(app: ASGIApp) -> ASGIApp:
            async def respond(scope: Scope, receive: Receive, send: Send) -> None:
                handler: Any = scope["route_handler"]
                if scope["type"] != ScopeType.HTTP or handler.opt.get(STATIC):
                    await app(scope, receive, send)
                    return
                request: Request[Any, Any, Any] = Request(scope, receive)
                is_public, is_change = bool(handler.opt.get(PUBLIC)), scope["method"] not in csrf.SAFE
                token = self._token(request)
                person = scope["user"] = await self._sessions.person(token) if token else None
                if not is_public:
                    _admit(person, role)
                if is_change:
                    if not (handler.opt.get(TOKENS) and person is not None and _is_token(request, person)):
                        await csrf.check(request, self._expected(request, person))
                    if not handler.opt.get(CHANGES_NOTHING):
                        send = self._recorded(request, handler.handler_name, send)
                if is_public:
                    await app(scope, receive, send)
                else:
                    await SessionStream(partial(self._is_open, token), send).serve(app, scope, receive)

            return respond

        return wrap

    def _token(self, request: Request[Any, Any, Any]) -> str:
        return _bearer(request) or self._cookies.session(request)

    def _expected(self, request: Request[Any, Any, Any], person: Person | None) -> str:
        if person is None:
            return self._cookies.form(request)[0]
        return person.csrf

    async def _is_open(self, token: str) -> bool:
        return await self._sessions.person(token) is not None

    def _recorded(self, request: Request[Any, Any, Any], action: str, send: Send) -> Send:
        """Send the response's head only once the change is on record."""

        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                person = request.scope.get("user")
                if isinstance(person, Person):
                    await audit.record(self._mesh, request, person, action)
            await send(message)

        return send_recorded


def _bearer(request: Request[Any, Any, Any]) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.casefold() == "bearer" else ""


def _is_token(request: Request[Any, Any, Any], person: Person) -> bool:
    """Whether somebody comes with an API token in the head of the request, which other sites cannot set."""
    return not person.csrf and bool(_bearer(request))


def _admit(person: Person | None, role: str) -> None:
    if person is None:
        raise NotAuthorizedException(
            "sign in, or send `Authorization: Bearer <API token>`", headers={"WWW-Authenticate": "Bearer"}
        )
    if not person.may(role):
        raise PermissionDeniedException(f"this needs the role {role}; an administrator can give it to you")


def require(request: Request[Any, Any, Any], role: str) -> Person:
    """Whoever is signed in, who must have a role beyond the page's. Raises 401 and 403."""
    person: Person | None = request.scope.get("user")
    _admit(person, role)
    if person is None:  # _admit has raised
        raise NotAuthorizedException
    return person
