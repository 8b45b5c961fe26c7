"""Page: webhooks for the shop's staff: which there are, how they are, what they get, and what was sent."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from litestar import Request, Response, Router, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from mesh import Mesh
from mesh.errors import Conflict, InvalidField
from mesh.partner_events import types
from mesh.web.audit import note
from mesh.web.console import Console
from mesh.web.guard import require
from mesh.web.roles import PUBLISHER
from mesh.web.static_files import StaticFiles, read_folder
from services.webhooks.api import api
from services.webhooks.attempt_log import newest_attempts
from services.webhooks.form import BROKER_FIELDS, moment_of, webhook_form
from services.webhooks.managing import Managing
from services.webhooks.refusals import refusals, words_of
from services.webhooks.signing import shared_secret
from services.webhooks.webhook import DestinationKind, Webhook, WebhookForm

PATH, HERE = "/webhooks", Path(__file__).parent
NEW = WebhookForm(name="", url="https://")
KINDS = (
    ("https", "HTTPS", "https://partner.example/webhooks"),
    ("rabbitmq", "RabbitMQ", "amqps://rabbit.partner.example/virtual-host"),
    ("kafka", "Kafka", "kafka+ssl://one:9093,two:9093, which the operator has allowed"),
    ("aws", "Amazon SQS or SNS", "no address: the ARN says it all"),
)
DONE = {
    "changed": "The change is in force in every region within seconds.",
    "disabled": "Disabled: nothing is sent until you enable it. What happens meanwhile you can replay.",
    "enabled": "Enabled: what happens from now on is sent. Replay below what happened meanwhile.",
    "test": "A test is on its way; load the page again to see its answer in the log.",
    "resend": "It is being sent again; load the page again to see its answer in the log.",
    "replay": "The replay has begun; load the page again to see it in the log.",
    "deleted": "Deleted: nothing more is sent to it.",
}


class WebhookPages:
    """What the routes share."""

    def __init__(self, console: Console, mesh: Mesh, managing: Managing) -> None:
        self.mesh, self.managing = mesh, managing
        self.files = StaticFiles(read_folder(HERE / "static"), mounted=PATH)
        self._console, self._environment = console, console.templates(HERE / "templates")
        self._environment.globals |= {
            "webhook_urls": self.files.urls,
            "groups": _groups(),
            "region_here": mesh.region,
            "done_words": DONE,
            "kinds": KINDS,
        }

    def show(
        self, request: Request[Any, Any, Any], template: str, values: dict[str, Any], *, status: int = 200
    ) -> Response[bytes]:
        """A page, which knows whether whoever looks may change something."""
        values = {**values, "may_change": request.user.may(PUBLISHER.name), "done": values.get("done", "")}
        response = self._console.page(request, self._environment, template, values, status=status)
        if values.get("secret"):
            response.headers["Cache-Control"] = "no-store"
        return response

    async def show_one(
        self, request: Request[Any, Any, Any], webhook: Webhook, *, secret: str = "", done: str = ""
    ) -> Response[bytes]:
        """One webhook, and its secret where it was just made."""
        now = datetime.now(UTC)
        key = webhook.keys[-1]
        public = shared_secret(self.managing.webhooks.secrets[0], webhook.id, key) if key.kind == "ed25519" else ""
        values = {
            "webhook": webhook,
            "failing": self.managing.health.failing.get(webhook.id),
            "attempts": await newest_attempts(self.mesh, webhook.id),
            "filters": _pretty(webhook.form.filters),
            "signing": [one for one in webhook.keys if one.signs_at(now)],
            "public_key": public,
            "secret": secret,
            "done": done,
            "days": self.managing.disabled_after / timedelta(days=1),
            "since": now - timedelta(hours=1),
            "until": now,
        }
        return self.show(request, "webhook.html.j2", values)

    def show_form(
        self,
        request: Request[Any, Any, Any],
        form: WebhookForm,
        *,
        webhook: Webhook | None = None,
        wrong: str = "",
        filters: str | None = None,
    ) -> Response[bytes]:
        """The form, with what is wrong in it."""
        values = {
            "form": form,
            "webhook": webhook,
            "wrong": wrong,
            "filters": _pretty(form.filters) if filters is None else filters,
            "revision": self.managing.revision(webhook.id) if webhook else 0,
        }
        return self.show(request, "form.html.j2", values, status=422 if wrong else 200)


def page_routes(console: Console, mesh: Mesh, managing: Managing) -> list[Any]:
    """All below `/webhooks`, with the API."""
    pages = WebhookPages(console, mesh, managing)
    handlers = [*_looking(pages), *_writing(pages), *_doing(pages), *_repeating(pages)]
    every = Router("/", route_handlers=[*handlers, api(mesh, managing)], exception_handlers=refusals(console))
    return [every, pages.files.route()]


def _looking(pages: WebhookPages) -> list[HTTPRouteHandler]:
    @get("/")
    async def show_webhooks(request: Request[Any, Any, Any], done: FromQuery[str] = "") -> Response[bytes]:
        """Every webhook, and how it is."""
        managing = pages.managing
        values = {
            "webhooks": [one.webhook for one in managing.webhooks],
            "failing": managing.health.failing,
            "unreadable": sorted(managing.webhooks.unreadable),
            "done": done,
        }
        return pages.show(request, "webhooks.html.j2", values)

    @get("/{webhook_id:str}")
    async def show_webhook(
        request: Request[Any, Any, Any], webhook_id: FromPath[str], done: FromQuery[str] = ""
    ) -> Response[bytes]:
        """One webhook with its log."""
        return await pages.show_one(request, pages.managing.find(webhook_id), done=done)

    @get("/new")
    async def show_new(request: Request[Any, Any, Any]) -> Response[bytes]:
        """The empty form."""
        require(request, PUBLISHER.name)
        return pages.show_form(request, NEW)

    @get("/{webhook_id:str}/edit")
    async def show_edit(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> Response[bytes]:
        """The form of a webhook."""
        require(request, PUBLISHER.name)
        webhook = pages.managing.find(webhook_id)
        return pages.show_form(request, webhook.form, webhook=webhook)

    return [show_webhooks, show_webhook, show_new, show_edit]


def _writing(pages: WebhookPages) -> list[HTTPRouteHandler]:
    @post("/new", status_code=200)
    async def create_webhook(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Create a webhook, and show its secret this once."""
        person, sent = require(request, PUBLISHER.name), await request.form()
        try:
            form = webhook_form(sent)
            webhook, secret = await pages.managing.create(form, person.account.id)
        except InvalidField as wrong:
            return pages.show_form(request, _written(sent), wrong=words_of(wrong), filters=str(sent.get("filters", "")))
        note(request, webhook.id, name=form.name)
        return await pages.show_one(request, webhook, secret=secret)

    @post("/{webhook_id:str}/edit", status_code=200)
    async def change_webhook(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> Response[Any]:
        """Change a webhook as the form says."""
        person, sent = require(request, PUBLISHER.name), await request.form()
        webhook = pages.managing.find(webhook_id)
        revision = str(sent.get("revision", ""))
        expected = int(revision) if revision.isdecimal() and len(revision) < 10 else 0
        try:
            form = webhook_form(sent)
            await pages.managing.change(webhook_id, form, person.account.id, expected=expected)
        except (InvalidField, Conflict) as wrong:
            words, filters = words_of(wrong), str(sent.get("filters", ""))
            return pages.show_form(request, _written(sent), webhook=webhook, wrong=words, filters=filters)
        note(request, webhook_id, name=form.name)
        return Redirect(f"{PATH}/{webhook_id}?done=changed", status_code=303)

    @post("/{webhook_id:str}/rotate", status_code=200)
    async def rotate_secret(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> Response[bytes]:
        """A new secret, shown this once."""
        person, sent = require(request, PUBLISHER.name), await request.form()
        hours = str(sent.get("grace_hours", "24"))
        if not hours.isdecimal() or len(hours) > 4:
            raise InvalidField("$.grace_hours", "a whole number of hours")
        webhook, secret = await pages.managing.rotate(webhook_id, person.account.id, timedelta(hours=int(hours)))
        note(request, webhook_id, key=str(webhook.keys[-1].number))
        return await pages.show_one(request, webhook, secret=secret)

    @post("/{webhook_id:str}/delete")
    async def delete_webhook(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> Redirect:
        """Forget a webhook."""
        person = require(request, PUBLISHER.name)
        note(request, webhook_id, name=pages.managing.find(webhook_id).form.name)
        await pages.managing.delete(webhook_id, person.account.id)
        return Redirect(f"{PATH}?done=deleted", status_code=303)

    return [create_webhook, change_webhook, rotate_secret, delete_webhook]


def _doing(pages: WebhookPages) -> list[HTTPRouteHandler]:
    def done(webhook_id: str, what: str) -> Redirect:
        return Redirect(f"{PATH}/{webhook_id}?done={what}", status_code=303)

    @post("/{webhook_id:str}/disable")
    async def disable_webhook(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> Redirect:
        """Send nothing more for now."""
        await pages.managing.disable(webhook_id, require(request, PUBLISHER.name).account.id)
        note(request, webhook_id)
        return done(webhook_id, "disabled")

    @post("/{webhook_id:str}/enable")
    async def enable_webhook(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> Redirect:
        """Send again."""
        await pages.managing.enable(webhook_id, require(request, PUBLISHER.name).account.id)
        note(request, webhook_id)
        return done(webhook_id, "enabled")

    @post("/{webhook_id:str}/test")
    async def test_webhook(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> Redirect:
        """Send an event that says nothing."""
        require(request, PUBLISHER.name)
        note(request, webhook_id, event=await pages.managing.send_test(webhook_id))
        return done(webhook_id, "test")

    return [disable_webhook, enable_webhook, test_webhook]


def _repeating(pages: WebhookPages) -> list[HTTPRouteHandler]:
    @post("/{webhook_id:str}/resend")
    async def resend_delivery(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> Redirect:
        """Deliver once more what the log has."""
        require(request, PUBLISHER.name)
        delivery_id = str((await request.form()).get("delivery_id", ""))
        await pages.managing.send_again(webhook_id, delivery_id)
        note(request, webhook_id, delivery=delivery_id)
        return Redirect(f"{PATH}/{webhook_id}?done=resend", status_code=303)

    @post("/{webhook_id:str}/replay")
    async def replay_events(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> Redirect:
        """Deliver again what happened in a time."""
        person, sent = require(request, PUBLISHER.name), await request.form()
        since, until = moment_of(sent, "since"), moment_of(sent, "until")
        note(request, webhook_id, replay=await pages.managing.replay(webhook_id, since, until, person.account.id))
        return Redirect(f"{PATH}/{webhook_id}?done=replay", status_code=303)

    return [resend_delivery, replay_events]


def _written(sent: Any) -> WebhookForm:
    """What a form holds, right or wrong, to show it again."""
    throttle = str(sent.get("throttle", "")).strip().replace(",", ".")
    try:
        number = float(throttle) if throttle else None
    except ValueError:
        number = None
    kind = str(sent.get("kind", "https"))
    return WebhookForm(
        name=str(sent.get("name", "")),
        url=str(sent.get("url", "")),
        kind=kind if kind in get_args(DestinationKind) else "https",
        **{name: str(sent.get(name, "")) for name in BROKER_FIELDS},
        types=tuple(str(one) for one in sent.getall("types", [])),
        ordered=sent.get("ordered") == "yes",
        throttle=number,
        signature="ed25519" if sent.get("signature") == "ed25519" else "hmac",
        mode="binary" if sent.get("mode") == "binary" else "structured",
    )


def _groups() -> dict[str, list[str]]:
    """The types that may leave, by their domain."""
    found: dict[str, list[str]] = {}
    for one in types():
        found.setdefault(one.partition(".")[0], []).append(one)
    return found


def _pretty(filters: Any) -> str:
    return json.dumps(list(filters), indent=2) if filters else ""
