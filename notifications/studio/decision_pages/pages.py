"""Pages: the overview of all journeys, the newest decisions with a search, and why a cart got an offer or none."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from mesh import Mesh
from mesh.errors import InvalidKey
from mesh.web.console import Console
from notifications.cart_timeline import read_timeline
from notifications.journeys.kind import FILE
from notifications.render_pool import RenderPool
from notifications.studio.decision_pages import overview, words
from notifications.studio.decision_pages.explained_decision import reason_of
from notifications.studio.decision_pages.figures import read_behind
from notifications.studio.decision_pages.mail_pages import mail_routes
from notifications.studio.decision_pages.recent_decisions import Filter, RecentDecisions, values
from notifications.studio.decision_pages.search import find_carts
from notifications.studio.decision_pages.step_results import step_results
from notifications.studio.decision_pages.timeline import entries, verdicts
from notifications.studio.journey_pages.opened import journeys_in_force, readable
from notifications.studio.studio import Studio

DAYS = (7, 30, 90, overview.YEAR)
ON_A_PAGE = 50
OF_ONE_CART = ("cart", "offer", "order")
"""What belongs to one cart, so that a search for it needs no list."""


def overview_routes(console: Console, mesh: Mesh) -> list[Any]:
    """All below `/overview`."""
    studio = Studio(console, mesh, "/overview")

    @get("/")
    async def show_overview(
        request: Request[Any, Any, Any],
        region: FromQuery[str] = "",
        days: FromQuery[str] = "",
        journey: FromQuery[str] = "",
    ) -> Response[bytes]:
        """The figures of the last days, of every region or of one, of every journey or of one."""
        regions = (mesh.region, *sorted(mesh.others))
        shown_days = next((one for one in DAYS if str(one) == days), DAYS[0])
        region = region if region in regions else ""
        found = await overview.read_overview(
            mesh,
            regions=(region,) if region else regions,
            days=shown_days,
            today=datetime.now(UTC).date(),
            journey=journey,
        )
        behind = await read_behind(mesh)
        asked = {"chosen": region, "days": shown_days, "journey": journey}
        in_force = await journeys_in_force(mesh)
        known = {name: readable(name, document.files[FILE]) for name, document in in_force.items()}
        steps = {row.name: step_results(row.figures, known.get(row.name)) for row in found.journeys}
        shown = {
            "found": found,
            "steps": steps,
            "behind": behind,
            "regions": regions,
            "choices": DAYS,
            "words": words,
            "span": overview.span,
        }
        return studio.show(request, "decision_overview.html.j2", shown | asked)

    return [show_overview, studio.files]


def decision_routes(console: Console, mesh: Mesh, recent: RecentDecisions, pool: RenderPool) -> list[Any]:
    """All below `/decisions`."""
    studio = Studio(console, mesh, "/decisions")
    return [_list(studio, mesh, recent), _cart(studio, mesh), *mail_routes(studio, pool), studio.files]


def _list(studio: Studio, mesh: Mesh, recent: RecentDecisions) -> HTTPRouteHandler:
    @get("/")
    async def show_decisions(
        request: Request[Any, Any, Any],
        q: FromQuery[str] = "",
        journey: FromQuery[str] = "",
        outcome: FromQuery[str] = "",
        reason: FromQuery[str] = "",
        region: FromQuery[str] = "",
        page: FromQuery[str] = "",
    ) -> Response[Any]:
        """The newest decisions, or the carts that an id leads to; straight to the cart that a cart's own id means."""
        q = q.strip()
        hits = await find_carts(mesh, q) if q else []
        if len(hits) == 1 and hits[0].by in OF_ONE_CART:
            return Redirect(f"/decisions/{hits[0].cart_id}", status_code=303)
        wanted = Filter(journey=journey, outcome=outcome, reason=reason, region=region)
        every, number = recent.newest(), int(page) if page.isascii() and page.isdigit() and len(page) < 6 else 1
        found = [one for one in every if wanted.matches(one)]
        pages = max(1, -(-len(found) // ON_A_PAGE))
        number = min(max(number, 1), pages)
        filters = {"journey": journey, "outcome": outcome, "reason": reason, "region": region}
        shown = {
            "q": q,
            "hits": hits,
            "filters": filters,
            "choices": {name: values(every, name) for name in filters},
            "decisions": found[(number - 1) * ON_A_PAGE : number * ON_A_PAGE],
            "count": len(found),
            "every": len(every),
            "most": recent.most,
            "oldest": every[-1].at if every else None,
            "page": number,
            "pages": pages,
            "query": urlencode({name: value for name, value in filters.items() if value}),
            "behind": any(check() for check in mesh.readiness_checks),
            "words": words,
            "reason_of": reason_of,
        }
        return studio.show(request, "decision_list.html.j2", shown)

    return show_decisions


def _cart(studio: Studio, mesh: Mesh) -> HTTPRouteHandler:
    @get("/{cart_id:str}")
    async def show_cart(request: Request[Any, Any, Any], cart_id: FromPath[str]) -> Response[bytes]:
        """Everything that happened to a cart, and why."""
        try:
            history = await read_timeline(mesh, cart_id)
        except InvalidKey:
            history = []
        shown = {
            "cart_id": cart_id,
            "visitor_id": next((one.event.visitor_id for one in history if hasattr(one.event, "visitor_id")), ""),
            "entries": entries(history),
            "verdicts": verdicts(history),
            "words": words,
            "several": bool(mesh.others),
        }
        return studio.show(request, "decision_cart.html.j2", shown, status=200 if history else 404)

    return show_cart
