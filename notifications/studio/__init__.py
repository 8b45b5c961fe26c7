"""The marketers' pages and API: journeys and templates are edited and published, and put in force in every region."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mesh import Mesh, Received, Service
from mesh.events.block import BlockPublished
from mesh.events.journey import JourneyPublished
from mesh.events.offer import OfferDecided
from mesh.events.template import TemplatePublished
from mesh.profiles import PROFILES
from mesh.settings import read
from notifications.blocks.spreading import spread
from notifications.documents.concurrent import apply
from notifications.documents.document import Document
from notifications.documents.drafts import DRAFTS
from notifications.documents.kind import Published
from notifications.documents.reviews import REVIEWS, kinds_reviewed
from notifications.experiments.participant import KINDS as PARTICIPATION
from notifications.journeys.kind import JOURNEYS
from notifications.render_pool import RenderPool, RenderSettings, open_render_pool
from notifications.sender_rates import RATES
from notifications.studio.decision_pages.figures import OFFER_DAYS, OFFERS, FiguresWriter, read_behind
from notifications.studio.decision_pages.offer_record import KINDS
from notifications.studio.decision_pages.recent_decisions import SINCE, RecentDecisions
from notifications.studio.experiment_pages.figures import (
    EXPERIMENT_DAYS,
    PARTICIPANTS,
    EffectsWriter,
    ExperimentSettings,
)
from notifications.suppressions import SUPPRESSIONS
from notifications.templates.kind import SHARED_BLOCKS, TEMPLATES, rendered_by

if TYPE_CHECKING:
    from mesh.web.console import Console

CHOOSE_EVERY = timedelta(minutes=10)
DOCUMENTS = (JOURNEYS, TEMPLATES, SHARED_BLOCKS)
COUNTED = (OFFER_DAYS, EXPERIMENT_DAYS, OFFERS, PARTICIPANTS)
"""The copies for pages are emptied first where all are rebuilt (`exact_sums.Kind`)."""
service = Service(
    "studio",
    publishes=(JourneyPublished, TemplatePublished, BlockPublished),
    buckets=(*(kind.bucket for kind in DOCUMENTS), DRAFTS, REVIEWS, *COUNTED),
    views=(PROFILES, SUPPRESSIONS, RATES),
    asks=("mail-reports", "channels"),
    secrets=("address_secret",),
    port=8130,
)


@service.resource
async def open_rendering() -> AsyncIterator[RenderPool]:
    """Render workers for previews, which start with the first one."""
    async with open_render_pool(read(RenderSettings), when_needed=True) as pool:
        yield pool


@service.on(JourneyPublished, TemplatePublished, BlockPublished, reach="mesh", refills=True)
async def put_in_force(received: Received[Published], mesh: Mesh) -> None:
    """Put a journey, template or shared block that was published in any region in force here."""
    kind = next(one for one in DOCUMENTS if isinstance(received.event, one.published))
    await apply(kind, received, mesh)


@service.resource
async def open_figures(mesh: Mesh) -> AsyncIterator[FiguresWriter]:
    """The writer of the overview's figures."""
    yield FiguresWriter(mesh)


@service.resource
async def open_effects(mesh: Mesh) -> AsyncIterator[EffectsWriter]:
    """The writer of what offers change."""
    yield EffectsWriter(mesh, read(ExperimentSettings).experiment_window)


@service.resource
async def open_recent_decisions() -> AsyncIterator[RecentDecisions]:
    """The newest decisions, as this process knows them."""
    yield RecentDecisions()


@service.on(
    *dict.fromkeys((*KINDS, *PARTICIPATION)),
    reach="mesh",
    batch=256,
    linger=timedelta(milliseconds=500),
    projects=COUNTED,
)
async def count_offers_by_day(events: list[Received], figures: FiguresWriter, effects: EffectsWriter) -> None:
    """Count what became of the offers of every region, by journey and day, and what experiments' shoppers buy.

    Both are of decisions above all, so that one delivery of each serves both.
    """
    await asyncio.gather(
        figures.apply(one for one in events if isinstance(one.event, KINDS)),
        effects.apply(one for one in events if isinstance(one.event, PARTICIPATION)),
    )


@service.every(CHOOSE_EVERY)
async def publish_winners(tick: datetime, mesh: Mesh, effects: EffectsWriter) -> None:
    """Publish the winners of steps whose rule chooses them, once they are known; none while figures are not whole."""
    from notifications.studio.experiment_pages.choosing import choose_winners  # noqa: PLC0415  brings tomlkit

    if not await read_behind(mesh):
        await choose_winners(mesh, effects.window, tick.date())


@service.on(OfferDecided, reach="mesh", fanout=True, since=SINCE, batch=500, linger=timedelta(0))
async def remember_decisions(batch: list[Received[OfferDecided]], recent: RecentDecisions) -> None:
    """Keep the newest decisions of every region in memory, for lists."""
    for received in batch:
        recent.add(received)


@service.page("/overview", title="Overview", role="viewer", section="Marketing")
def overview_pages(console: "Console", mesh: Mesh) -> list[Any]:
    """The numbers of each journey: who was evaluated, why there was no offer, what was sent and what came of it."""
    from notifications.studio.decision_pages.pages import overview_routes  # noqa: PLC0415  brings Litestar

    return overview_routes(console, mesh)


@service.page("/journeys", title="Journeys", role="viewer", section="Marketing")
def journey_pages(console: "Console", mesh: Mesh, pool: RenderPool) -> list[Any]:
    """How left carts are answered: who gets an offer, what it is worth, when it may be sent."""
    from notifications.studio.journey_pages.routes import routes  # noqa: PLC0415  brings Litestar, which others do not need

    return routes(console, mesh, pool, needs_review=JOURNEYS.name in kinds_reviewed(DOCUMENTS))


@service.page("/templates", title="Templates", role="viewer", section="Marketing")
def template_pages(console: "Console", mesh: Mesh, pool: RenderPool, recent: RecentDecisions) -> list[Any]:
    """The mails and cards that shoppers get, in every language."""
    from notifications.studio.template_pages.routes import routes  # noqa: PLC0415  brings Litestar, as above

    return routes(console, mesh, pool, recent, needs_review=TEMPLATES.name in kinds_reviewed(DOCUMENTS))


@service.page("/blocks", title="Blocks", role="viewer", section="Marketing")
def block_pages(console: "Console", mesh: Mesh, pool: RenderPool, recent: RecentDecisions) -> list[Any]:
    """Blocks that many mails share, such as their foot, and the shop's colours and font."""
    from notifications.studio.template_pages.routes import shared_routes  # noqa: PLC0415  brings Litestar, as above

    return shared_routes(console, mesh, pool, recent, needs_review=SHARED_BLOCKS.name in kinds_reviewed(DOCUMENTS))


@service.page("/experiments", title="Experiments", role="viewer", section="Marketing")
def experiment_pages(console: "Console", mesh: Mesh, effects: EffectsWriter) -> list[Any]:
    """What the offers of each journey change, against those whom chance gave none."""
    from notifications.studio.experiment_pages.pages import routes  # noqa: PLC0415  brings Litestar, as above

    return routes(console, mesh, effects)


@service.page("/decisions", title="Decisions", role="viewer", section="Marketing")
def decision_pages(console: "Console", mesh: Mesh, recent: RecentDecisions, pool: RenderPool) -> list[Any]:
    """Why a cart got an offer or none: every decision with every check and its value."""
    from notifications.studio.decision_pages.pages import decision_routes  # noqa: PLC0415  brings Litestar

    return decision_routes(console, mesh, recent, pool)


@service.page("/suppressions", title="Suppressions", role="viewer", section="Marketing")
def suppression_pages(console: "Console", mesh: Mesh) -> list[Any]:
    """The addresses that nothing is sent to: how many and why, one of them, lists in and out."""
    from notifications.studio.suppression_pages.pages import routes  # noqa: PLC0415  brings Litestar, as above

    return routes(console, mesh)


@service.page("/sender", title="Sender", role="viewer", section="Marketing")
def sender_pages(console: "Console", mesh: Mesh) -> list[Any]:
    """Who mails come from, and whether DNS has the records that let receivers trust them."""
    from notifications.studio.sender_pages.pages import routes  # noqa: PLC0415  brings Litestar, as above

    return routes(console, mesh)


@service.page("/documents", title="Documents", role="viewer")
def document_api(console: "Console", mesh: Mesh, pool: RenderPool) -> list[Any]:
    """Journeys, templates and shared blocks over HTTP, for scripts with an API token and for pages."""
    from notifications.document_api.routes import routes  # noqa: PLC0415  brings Litestar, which others do not need

    templates, blocks = rendered_by(pool), rendered_by(pool, SHARED_BLOCKS)

    async def spread_block(document: Document, author: str) -> None:
        await spread(templates, document, author, mesh)

    kinds = (JOURNEYS, templates, blocks)
    return routes(console, mesh, kinds, kinds_reviewed(DOCUMENTS), {blocks.name: spread_block})
