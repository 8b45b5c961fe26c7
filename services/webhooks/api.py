"""API: webhooks over HTTP, for scripts with an API token of the console."""

from datetime import datetime, timedelta
from typing import Any

from litestar import Request, Router, delete, get, post, put
from litestar.datastructures import ResponseHeader
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody

from mesh import Mesh
from mesh.errors import InvalidField
from mesh.web.audit import note
from mesh.web.guard import TOKENS, require
from mesh.web.roles import PUBLISHER
from services.webhooks.attempt_log import SHOWN, newest_attempts
from services.webhooks.managing import Managing
from services.webhooks.views import (
    AttemptView,
    ChangeWebhook,
    Replay,
    Rotate,
    SendAgain,
    Started,
    WebhookView,
    attempt_view,
    view,
)
from services.webhooks.webhook import WebhookForm

BY_TOKEN = {TOKENS: True}


def api(mesh: Mesh, managing: Managing) -> Router:
    """All below `/webhooks/v1`."""
    return Router(
        "/v1",
        route_handlers=[*_reading(mesh, managing), *_changing(managing), *_doing(managing)],
        response_headers=[ResponseHeader(name="Cache-Control", value="no-store")],
    )


def _reading(mesh: Mesh, managing: Managing) -> list[HTTPRouteHandler]:
    @get("/")
    async def list_webhooks(request: Request[Any, Any, Any]) -> list[WebhookView]:
        """Every webhook. Whole URLs need the role publisher, here and below."""
        whole = request.user.may(PUBLISHER.name)
        return [view(managing, one.webhook, whole_url=whole) for one in managing.webhooks]

    @get("/{webhook_id:str}")
    async def read_webhook(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> WebhookView:
        """One webhook."""
        return view(managing, managing.find(webhook_id), whole_url=request.user.may(PUBLISHER.name))

    @get("/{webhook_id:str}/attempts")
    async def read_attempts(webhook_id: FromPath[str], most: FromQuery[int] = SHOWN) -> list[AttemptView]:
        """The newest attempts of this region, newest first."""
        managing.find(webhook_id)
        return [attempt_view(one) for one in await newest_attempts(mesh, webhook_id, max(1, min(most, 1000)))]

    return [list_webhooks, read_webhook, read_attempts]


def _changing(managing: Managing) -> list[HTTPRouteHandler]:
    @post("/", opt=BY_TOKEN)
    async def create_webhook(request: Request[Any, Any, Any], data: JSONBody[WebhookForm]) -> WebhookView:
        """A new webhook; the answer has its secret, which is not shown again."""
        person = require(request, PUBLISHER.name)
        webhook, secret = await managing.create(data, person.account.id)
        note(request, webhook.id, name=webhook.form.name)
        return view(managing, webhook, secret=secret, whole_url=True)

    @put("/{webhook_id:str}", opt=BY_TOKEN)
    async def change_webhook(
        request: Request[Any, Any, Any], webhook_id: FromPath[str], data: JSONBody[ChangeWebhook]
    ) -> WebhookView:
        """Another URL, other events, another order or throttle."""
        person = require(request, PUBLISHER.name)
        webhook = await managing.change(webhook_id, data.webhook, person.account.id, expected=data.revision)
        note(request, webhook_id, name=webhook.form.name)
        return view(managing, webhook, whole_url=True)

    @delete("/{webhook_id:str}", opt=BY_TOKEN)
    async def delete_webhook(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> None:
        """Forget a webhook, and what is still to be sent to it."""
        person = require(request, PUBLISHER.name)
        note(request, webhook_id, name=managing.find(webhook_id).form.name)
        await managing.delete(webhook_id, person.account.id)

    @post("/{webhook_id:str}/rotate", opt=BY_TOKEN, status_code=200)
    async def rotate_secret(
        request: Request[Any, Any, Any], webhook_id: FromPath[str], data: JSONBody[Rotate]
    ) -> WebhookView:
        """A new secret, in the answer and never again; those before sign as well for the time of grace."""
        person = require(request, PUBLISHER.name)
        grace = timedelta(hours=data.grace_hours)
        webhook, secret = await managing.rotate(webhook_id, person.account.id, grace)
        note(request, webhook_id, key=str(webhook.keys[-1].number))
        return view(managing, webhook, secret=secret, whole_url=True)

    return [create_webhook, change_webhook, delete_webhook, rotate_secret]


def _doing(managing: Managing) -> list[HTTPRouteHandler]:
    @post("/{webhook_id:str}/disable", opt=BY_TOKEN, status_code=200)
    async def disable_webhook(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> WebhookView:
        """Send nothing until it is enabled."""
        person = require(request, PUBLISHER.name)
        await managing.disable(webhook_id, person.account.id)
        note(request, webhook_id)
        return view(managing, managing.find(webhook_id), whole_url=True)

    @post("/{webhook_id:str}/enable", opt=BY_TOKEN, status_code=200)
    async def enable_webhook(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> WebhookView:
        """Send what happens from now on."""
        person = require(request, PUBLISHER.name)
        await managing.enable(webhook_id, person.account.id)
        note(request, webhook_id)
        return view(managing, managing.find(webhook_id), whole_url=True)

    @post("/{webhook_id:str}/test", opt=BY_TOKEN, status_code=202)
    async def test_webhook(request: Request[Any, Any, Any], webhook_id: FromPath[str]) -> Started:
        """Send an event that says nothing."""
        require(request, PUBLISHER.name)
        note(request, webhook_id)
        return Started(id=await managing.send_test(webhook_id))

    @post("/{webhook_id:str}/resend", opt=BY_TOKEN, status_code=202)
    async def resend_delivery(
        request: Request[Any, Any, Any], webhook_id: FromPath[str], data: JSONBody[SendAgain]
    ) -> Started:
        """Deliver once more what the log has."""
        require(request, PUBLISHER.name)
        await managing.send_again(webhook_id, data.delivery_id)
        note(request, webhook_id, delivery=data.delivery_id)
        return Started(id=data.delivery_id)

    @post("/{webhook_id:str}/replay", opt=BY_TOKEN, status_code=202)
    async def replay_events(
        request: Request[Any, Any, Any], webhook_id: FromPath[str], data: JSONBody[Replay]
    ) -> Started:
        """Deliver again what happened in this region in a time."""
        person = require(request, PUBLISHER.name)
        for name, at in (("since", data.since), ("until", data.until)):
            _zoned(name, at)
        replay_id = await managing.replay(webhook_id, data.since, data.until, person.account.id)
        note(request, webhook_id, replay=replay_id)
        return Started(id=replay_id)

    return [disable_webhook, enable_webhook, test_webhook, resend_delivery, replay_events]


def _zoned(name: str, at: datetime) -> None:
    if at.tzinfo is None:
        raise InvalidField(f"$.{name}", "a time with a zone, such as 2026-05-01T12:00:00Z")
