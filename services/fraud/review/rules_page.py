"""Rules page: the fraud rules in force and in shadow, edited as a form, tried on past orders, and published."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.exceptions import ClientException, HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from litestar.response import Redirect

from mesh import Mesh
from mesh.errors import Conflict, DeclarationError
from mesh.events.fraud import FraudRules, FraudRulesPublished, FraudShadowJudged, RuleSet
from mesh.fraud_model import FRAUD_MODELS
from mesh.settings import read
from mesh.streams import mesh_stream
from mesh.web.audit import note
from mesh.web.console import Console
from mesh.web.guard import require
from mesh.web.roles import REVIEWER
from services.fraud.current_rules import FRAUD_RULES, RulesDocument, publish_rules
from services.fraud.review.backtest import backtest
from services.fraud.rules import FraudSettings, Rules, rules_of

TEMPLATES = Path(__file__).parent / "templates"
MOST_DAYS = 90
LONGEST_NOTE = 200
FIELDS = {
    "flag_at": "Flag from this weight on",
    "amount_factor": "Amount: so many times the customer's usual",
    "amount_orders": "Amount: after so many orders",
    "amount_weight": "Amount: weight",
    "account_hours": "New account: younger than so many hours",
    "account_weight": "New account: weight",
    "address_weight": "Bill to another address: weight",
    "country_weight": "Bill to another country: weight",
    "model_at": "Model: from which probability on (0 to 1)",
    "model_weight": "Model: weight; with 0 it is asked and decides nothing",
}
"""The numbers of the form, in its order."""


def rules_routes(console: Console, mesh: Mesh) -> list[HTTPRouteHandler]:
    """`/fraud/rules`: the form, its trial, and publishing."""
    environment = console.templates(TEMPLATES)
    environment.globals["fields"] = FIELDS

    async def show(request: Request[Any, Any, Any], **shown: Any) -> Response[bytes]:
        values = await _values(mesh, may_edit=request.user.may(REVIEWER.name))
        return console.page(request, environment, "rules.html.j2", values | shown)

    @get("/rules")
    async def show_rules(
        request: Request[Any, Any, Any], done: FromQuery[str] = "", edit: FromQuery[str] = "live"
    ) -> Response[bytes]:
        """The rules in force in the form; with `edit=shadow` those in shadow."""
        shadow = await mesh.state(FRAUD_RULES).get("shadow") if edit == "shadow" else None
        more = {"written": shadow.rules} if shadow and shadow.rules else {}
        return await show(request, done=done, **more)

    @post("/rules/trial", status_code=200)
    async def try_rules(request: Request[Any, Any, Any]) -> Response[bytes]:
        """What the rules of the form would have flagged in the last days, beside those in force."""
        require(request, REVIEWER.name)
        sent = await request.form()
        written, days = _written(sent), _whole(sent, "days", 1, MOST_DAYS)
        live = Rules(_in_force(await mesh.state(FRAUD_RULES).get("live")))
        found = await backtest(mesh, Rules(written), live, days=days, now=datetime.now(UTC))
        return await show(request, written=written, trial=found, days=days)

    @post("/rules/publish")
    async def publish_fraud_rules(request: Request[Any, Any, Any]) -> Redirect:
        """Publish the form's rules: in shadow, where they decide nothing, or live; or end the shadow."""
        person = require(request, REVIEWER.name)
        sent = await request.form()
        target = str(sent.get("target", ""))
        if target not in ("live", "shadow", "no-shadow"):
            raise ClientException("choose where the rules are to be in force", status_code=422)
        name: RuleSet = "live" if target == "live" else "shadow"
        rules = None if target == "no-shadow" else _written(sent)
        expected = _whole(sent, f"{name}-revision", 0, 10**9)
        words = str(sent.get("note", "")).strip()[:LONGEST_NOTE]
        try:
            revision = await publish_rules(
                name, rules, author=person.account.id, note=words, expected=expected, mesh=mesh
            )
        except Conflict as conflict:
            raise HTTPException(str(conflict), status_code=409) from None
        note(request, name, revision=str(revision), rules="turned off" if rules is None else "published")
        return Redirect(f"/fraud/rules?done={target}", status_code=303)

    return [show_rules, try_rules, publish_fraud_rules]


async def _values(mesh: Mesh, *, may_edit: bool) -> dict[str, Any]:
    """What the page shows where no form was sent."""
    live, shadow = [await mesh.state(FRAUD_RULES).get(name) for name in ("live", "shadow")]
    in_shadow = shadow if shadow and shadow.rules else None
    return {
        "model": await mesh.state(FRAUD_MODELS).get("serving"),
        "live": live,
        "shadow": in_shadow,
        "revisions": {"live": live.revision if live else 0, "shadow": shadow.revision if shadow else 0},
        "written": _in_force(live),
        "trial": None,
        "days": 7,
        "may_edit": may_edit,
        "history": await _history(mesh),
        "in_shadow": await _shadow_counts(mesh, in_shadow) if in_shadow else None,
        "done": "",
    }


def _in_force(live: RulesDocument | None) -> FraudRules:
    return live.rules if live and live.rules else rules_of(read(FraudSettings))


async def _history(mesh: Mesh) -> list[FraudRulesPublished]:
    """Every revision that is known here, newest first."""
    found = [one async for one in mesh.read(FraudRulesPublished)]
    if mesh.others:
        found += [one async for one in mesh.read(FraudRulesPublished, stream=mesh_stream(mesh.region))]
    return [one.event for one in sorted(found, key=lambda one: one.time, reverse=True)]


async def _shadow_counts(mesh: Mesh, shadow: RulesDocument) -> dict[str, int]:
    """How many orders the present shadow rules have judged, and how they differ from those in force."""
    counts = {"judged": 0, "both": 0, "only shadow": 0, "only live": 0}
    async for one in mesh.read(FraudShadowJudged):
        judged = one.event
        if judged.revision == shadow.revision:
            counts["judged"] += 1
            counts["both"] += judged.flagged and judged.live_flagged
            counts["only shadow"] += judged.flagged and not judged.live_flagged
            counts["only live"] += judged.live_flagged and not judged.flagged
    return counts


def _written(sent: Mapping[str, Any]) -> FraudRules:
    """The rules of a form. Raises 422 with the field that is wrong."""
    lines = tuple(line.strip() for line in str(sent.get("velocity", "")).splitlines() if line.strip())
    numbers: dict[str, Any] = {}
    for name, label in FIELDS.items():
        try:
            number = float(str(sent.get(name, "")))
        except ValueError:
            raise ClientException(f"{label}: write a number", status_code=422) from None
        if not 0 <= number <= 1_000_000:
            raise ClientException(f"{label}: write a number from 0 to 1000000", status_code=422)
        numbers[name] = number
    try:
        written = msgspec.convert({**numbers, "velocity": lines}, FraudRules, strict=False)
        Rules(written)
    except (DeclarationError, msgspec.ValidationError) as wrong:
        raise ClientException(str(wrong), status_code=422) from None
    return written


def _whole(sent: Mapping[str, Any], name: str, least: int, most: int) -> int:
    text = str(sent.get(name, ""))
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ClientException(f"{name.replace('-', ' ')}: write a whole number from {least} to {most}", status_code=422)
    return int(text)
