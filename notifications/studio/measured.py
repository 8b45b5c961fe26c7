"""Measured: how long marketers wait for a preview, for the overview over many decisions, and for a rehearsal.

    python -m notifications.studio.measured REGION SHARE

prints it as JSON; of a SHARE above 1 the counts are that many times smaller. It is one region of three servers, which
are killed and started again before the overview is opened: neither they nor the studio have anything in memory then.
The pages are asked over HTTP by a marketer who is signed in; a rehearsal is read from the streams and decided as the
page does it, while the studio itself is not at work.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from html import unescape
from typing import Any

import httpx

from mesh import Mesh, Money, Received
from mesh.events.cart import CartAbandoned, CartLine
from mesh.events.offer import OfferDecided
from mesh.observability.logs import configure_logs
from mesh.publish import Draft
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.run import running
from mesh.runtime.waiting import until
from mesh.runtime.worker import chosen
from mesh.topology.connect import connect
from mesh.topology.mesh_toml import Topology
from mesh.web.accounts import ACCOUNTS, Account
from mesh.web.sessions import Sessions
from notifications.decision_input import DecisionInput, recorded
from notifications.documents.seeding import seed
from notifications.journeys import parse
from notifications.journeys.kind import JOURNEYS
from notifications.rehearsal.past import read_past
from notifications.rehearsal.rehearse import Rehearsal
from notifications.rehearsal.report import report
from notifications.studio import service as studio
from notifications.studio.decision_pages.figures import FiguresWriter
from notifications.templates.kind import TEMPLATES

PREVIEWS, OPENINGS = 300, 40
DECISIONS, CARTS = 1_000_000, 100_000
DAYS, DAYS_SHOWN, WAVE, JOURNEYS_OF_SHOP = 365, (365, 90), 500, 50
PAGE = "/templates/abandoned-cart"
LINE = CartLine(product_id="p1", quantity=2, price=Money(amount=4_500, currency="EUR"), name="Lamp of oak")
TOTAL = Money(amount=9_000, currency="EUR")
REASONS = ("no consent", "holdout", "frequency cap", "no address", "not worth it", "bought", "budget", "too late")
OUTCOMES = (("approved", ""), ("held", "quiet hours"), *(("dropped", reason) for reason in REASONS))
VARIANTS = ("plain", "bold")
REHEARSED = 'template = "abandoned-cart"\nquiet = ""\ncap = 2\nholdout = 0.1\nminimum_value = ["30 EUR"]\n'


async def measured(region: str, share: int) -> dict[str, Any]:
    """Measure, in a region of its own."""
    services = chosen(["studio", "offers", "carts", "console"])
    async with LocalServers(Topology.of((region,), nodes=3), services=services) as servers:

        @asynccontextmanager
        async def mesh(name: str) -> AsyncIterator[Mesh]:
            connected = await connect(servers.access, region, name)
            try:
                yield connected
            finally:
                await connected.broker.drain()

        async with mesh("studio") as own, mesh("console") as console:
            counted = DECISIONS // share
            token, writing = await _prepared(own, console), await _count(own, counted)
            await servers.kill_region(region)
            await servers.start_region(region)
            await until(partial(_is_ready, own), "the studio's buckets")
            async with _signed_in(own, token) as marketer:
                overview = {days: await _openings(marketer, f"/overview?days={days}", OPENINGS) for days in DAYS_SHOWN}
                previews = await _previews(marketer, max(PREVIEWS // share, 20))
        async with mesh("studio") as own, mesh("carts") as carts, mesh("offers") as offers:
            await _leave(carts, offers, CARTS // share)
            rehearsal = await _rehearse(own)
    return {
        "preview_ms": previews,
        "overview_ms": overview[DAYS]
        | {"decisions": counted, "days": DAYS, "decisions_counted_per_second": writing}
        | {f"of {days} days": one for days, one in overview.items() if days != DAYS},
        "rehearsal": rehearsal,
    }


async def _prepared(own: Mesh, console: Mesh) -> str:
    """Templates and journeys, and a marketer who is signed in: the token of the session."""
    for kind in (TEMPLATES, JOURNEYS):
        await seed(kind, "", own)
    account = Account(id="ada", email="ada@shop.example", name="Ada", roles=("marketer",), created=datetime.now(UTC))
    await console.state(ACCOUNTS).put(account.id, account)
    return await Sessions(console).begin(account.id, agent="bench", lasting=timedelta(hours=1))


async def _is_ready(own: Mesh) -> bool:
    """Whether servers that were just started answer for every bucket. Raises Unavailable where they do not."""
    for bucket in studio.buckets:
        await own.state(bucket).get("nothing")
    return True


@asynccontextmanager
async def _signed_in(own: Mesh, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """The studio at work, and a marketer before its pages."""
    cookies = {f"cartmesh-{own.region}-session": token}
    async with running(studio, own, http=("127.0.0.1", 0)) as run:
        url, headers = f"http://127.0.0.1:{run.port}", {"Accept": "text/html"}
        async with httpx.AsyncClient(base_url=url, cookies=cookies, headers=headers, timeout=60) as client:
            yield client


async def _previews(marketer: httpx.AsyncClient, count: int) -> dict[str, float]:
    """The mail and its checks after each change of a text, as the editor asks for them; the workers are warm."""
    page = (await marketer.get(f"{PAGE}?locale=en")).raise_for_status().text
    editor = page[page.index('<form id="editor"') :]
    texts = re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\n(.*?)</textarea>', editor, re.DOTALL)
    fields = {name: unescape(value) for name, value in texts}
    fields |= dict(re.findall(r'<input type="hidden" name="(csrf|locale|read|text:kind)" value="([^"]*)">', editor))
    took = []
    for number in range(count + 5):
        typed = fields | {"text:headline": f"Change {number}"}
        begun = time.perf_counter()
        answer = (await marketer.post(f"{PAGE}/preview", data=typed)).raise_for_status()
        took.append(time.perf_counter() - begun)
        if "kB of HTML" not in answer.text:
            raise ValueError("the preview shows no mail")
    return _spread(took[5:])


async def _openings(marketer: httpx.AsyncClient, path: str, count: int) -> dict[str, float]:
    """A page, opened again and again; `first` is the first time."""
    took = []
    for _ in range(count + 1):
        begun = time.perf_counter()
        (await marketer.get(path)).raise_for_status()
        took.append(time.perf_counter() - begun)
    return _spread(took[1:]) | {"first": round(1_000 * took[0], 1)}


async def _count(own: Mesh, count: int) -> int:
    """Count so many decisions, over all days and some journeys, into the overview's figures; how many a second."""
    writer, begun, now = FiguresWriter(own), time.perf_counter(), datetime.now(UTC)
    for first in range(0, count, WAVE):
        await writer.apply([_received(at, count, now, own.region) for at in range(first, min(first + WAVE, count))])
    return round(count / (time.perf_counter() - begun))


def _received(number: int, count: int, now: datetime, region: str) -> Received[OfferDecided]:
    outcome, reason = OUTCOMES[number % len(OUTCOMES)]
    at = now - timedelta(days=DAYS * (count - number) / count)
    step = {"step": "first", "variant": VARIANTS[number % len(VARIANTS)]}
    journey = f"journey-{number // len(OUTCOMES) % JOURNEYS_OF_SHOP}"
    decided = _decided(number, at, journey, outcome, reason, **step)
    return Received(event=decided, id=f"d{number}", time=at, stored=at, region=region, sequence=number + 1, subject="")


def _decided(number: int, at: datetime, journey: str, outcome: Any, reason: str, **more: Any) -> OfferDecided:
    return OfferDecided(
        cart_id=f"c{number}",
        visitor_id=f"v{number}",
        offer_id=f"o{number}",
        abandonment_id=f"left-{number}",
        attempt=1,
        outcome=outcome,
        reason=reason,
        checks=(),
        journey=journey,
        due=at,
        lines=(LINE,),
        total=TOTAL,
        **more,
    )


async def _leave(carts: Mesh, offers: Mesh, count: int) -> None:
    """So many carts that were left in the last days, half of them of shoppers who left another one, each decided."""
    begin = datetime.now(UTC) - timedelta(days=5)
    for first in range(0, count, WAVE):
        some = [(number, begin + timedelta(seconds=number * 4)) for number in range(first, min(first + WAVE, count))]
        await asyncio.gather(*(carts.publish(draft) for draft in _left(some)))
        await asyncio.gather(*(offers.publish(draft) for draft in _first_decisions(some)))


def _left(some: list[tuple[int, datetime]]) -> Iterator[Draft]:
    for number, at in some:
        left = CartAbandoned(
            cart_id=f"c{number}", visitor_id=f"v{number // 2}", lines=(LINE,), total=TOTAL, left_at=at, due=at
        )
        yield Draft(event=left, time=at, id=f"left-{number}")


def _first_decisions(some: list[tuple[int, datetime]]) -> Iterator[Draft]:
    for number, at in some:
        known = DecisionInput(
            cart="left",
            cart_detail="unchanged since it was left",
            due=at,
            total=TOTAL,
            person=f"v{number // 2}",
            email_known=True,
            email_confirmed=True,
            consent={"email": number % 3 != 0},
            lines=(LINE,),
        )
        decided = _decided(number, at, "rehearsed", "approved", "", inputs=recorded(known))
        yield Draft(event=decided, time=at, id=f"decided-{number}")


async def _rehearse(own: Mesh) -> dict[str, Any]:
    """Seconds until the report is there: reading, deciding again, and adding up."""
    journey, until, begun = parse("rehearsed", REHEARSED, {}), datetime.now(UTC), time.perf_counter()
    past = await read_past(own, until - timedelta(days=7), until)
    read = time.perf_counter() - begun
    rehearsal = Rehearsal(past, journey)
    for _ in rehearsal.steps():
        pass
    found = report(past, journey, rehearsal.results())
    seconds = time.perf_counter() - begun
    return {"carts": found.carts, "offers": found.offers, "seconds": round(seconds, 1), "reading": round(read, 1)}


def _spread(took: list[float]) -> dict[str, float]:
    """Milliseconds of the middle one, and of the one that 95 % do not exceed."""
    ordered = sorted(took)
    return {
        "p50": round(1_000 * ordered[len(ordered) // 2], 1),
        "p95": round(1_000 * ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)], 1),
    }


if __name__ == "__main__":
    configure_logs(level="ERROR")
    print(json.dumps(asyncio.run(measured(sys.argv[1], int(sys.argv[2])))))
