"""Managing: what people do with webhooks: create, change, rotate, disable, enable, test, send again, replay."""

from datetime import UTC, datetime, timedelta
from secrets import token_hex

import msgspec

from mesh import Mesh
from mesh.envelope import Envelope, derive_id
from mesh.errors import InvalidField, MeshError
from mesh.events.delivery import DeliveryDue
from mesh.events.webhook import WebhookReplayRequested
from services.webhooks.attempt_log import attempts
from services.webhooks.current_webhooks import CurrentWebhooks
from services.webhooks.deliverer import Deliverer
from services.webhooks.delivery_settings import DeliverySettings
from services.webhooks.endpoint_health import EndpointHealth
from services.webhooks.endpoint_queue import Job
from services.webhooks.signing import SigningKey, shared_secret
from services.webhooks.webhook import Webhook, WebhookForm

MOST = 2_000
"""The most webhooks of a mesh."""
GRACE, LONGEST_GRACE = timedelta(hours=24), timedelta(days=30)
KEYS_KEPT = 4
TEST_TYPE = "webhook.test.v1"
LONGEST_REPLAY = timedelta(days=31)


class UnknownWebhook(MeshError):
    """There is no webhook of this id."""


class Managing:
    """Changes webhooks in the name of `author`, an account's id. Raises InvalidField, UnknownWebhook, Conflict."""

    def __init__(
        self,
        mesh: Mesh,
        webhooks: CurrentWebhooks,
        health: EndpointHealth,
        deliverer: Deliverer,
        settings: DeliverySettings,
    ) -> None:
        self.webhooks, self.health = webhooks, health
        self._mesh, self._deliverer, self._settings = mesh, deliverer, settings

    @property
    def disabled_after(self) -> timedelta:
        """For how long an endpoint may fail."""
        return self._settings.webhook_disabled_after

    def find(self, webhook_id: str) -> Webhook:
        """A webhook."""
        found = self.webhooks.by_id.get(webhook_id)
        if found is None:
            raise UnknownWebhook(f"there is no webhook {webhook_id[:40]}")
        return found.webhook

    def revision(self, webhook_id: str) -> int:
        """The revision that is in force."""
        self.find(webhook_id)
        return self.webhooks.by_id[webhook_id].stored.revision

    def check(self, form: WebhookForm) -> None:
        """Raise InvalidField for what a webhook cannot be."""
        settings = self._settings
        form.check(private=settings.webhook_private_addresses, brokers=settings.webhook_brokers)

    async def create(self, form: WebhookForm, author: str) -> tuple[Webhook, str]:
        """A new webhook, and what its partner verifies with."""
        form, password = _taken_apart(form)
        self.check(form)
        if len(self.webhooks.by_id) >= MOST:
            raise InvalidField("$", f"{MOST:,} webhooks are the most: delete some that are not used")
        now = datetime.now(UTC)
        webhook = Webhook(
            id=f"wh{token_hex(8)}",
            form=form,
            created=now,
            keys=(SigningKey(number=1, kind=form.signature, created=now),),
            ordered_since=now if form.ordered else None,
            password=password or "",
        )
        await self.webhooks.publish(webhook.id, webhook, author=author, expected=0)
        return webhook, self.secret(webhook)

    async def change(self, webhook_id: str, form: WebhookForm, author: str, *, expected: int) -> Webhook:
        """Change what people decide; another kind of signature begins with a new key.

        Without a password the one before is kept, unless the webhook is to lead somewhere else.
        """
        form, password = _taken_apart(form)
        self.check(form)
        now, webhook = datetime.now(UTC), self.find(webhook_id)
        before = webhook.form
        if password is None and webhook.password:
            if (form.kind, form.url, form.user) != (before.kind, before.url, before.user) and form.kind != "https":
                raise InvalidField("$.password", "enter it again: it was for another address or user")
            password = webhook.password if form.kind != "https" else ""
        since = (webhook.ordered_since or now) if form.ordered else None
        changed = msgspec.structs.replace(webhook, form=form, ordered_since=since, password=password or "")
        if form.signature != webhook.form.signature:
            changed = _with_new_key(changed, now, GRACE)
        await self.webhooks.publish(webhook_id, changed, author=author, expected=expected)
        return changed

    async def delete(self, webhook_id: str, author: str) -> None:
        """Forget a webhook. What is still to be sent to it is not."""
        await self.webhooks.publish(webhook_id, None, author=author, expected=self.revision(webhook_id))

    async def rotate(self, webhook_id: str, author: str, grace: timedelta = GRACE) -> tuple[Webhook, str]:
        """A new key, and what its partner verifies with; the keys before sign as well for `grace`."""
        if not timedelta(0) <= grace <= LONGEST_GRACE:
            raise InvalidField("$.grace_hours", f"0 to {LONGEST_GRACE.days * 24} hours")
        self.find(webhook_id)
        webhook = await self.webhooks.change(
            webhook_id, lambda one: _with_new_key(one, datetime.now(UTC), grace), author=author
        )
        if webhook is None:
            raise UnknownWebhook(f"there is no webhook {webhook_id[:40]}")
        return webhook, self.secret(webhook)

    async def disable(self, webhook_id: str, author: str) -> None:
        """Send nothing more, until it is enabled."""
        self.find(webhook_id)
        await self.webhooks.change(
            webhook_id,
            lambda one: msgspec.structs.replace(one, disabled=one.disabled or "disabled in the console"),
            author=author,
        )

    async def enable(self, webhook_id: str, author: str) -> None:
        """Send again what happens from now on."""
        self.find(webhook_id)
        await self.health.reset(webhook_id)
        now = datetime.now(UTC)

        def enabled(one: Webhook) -> Webhook:
            return msgspec.structs.replace(one, disabled=None, ordered_since=now if one.form.ordered else None)

        await self.webhooks.change(webhook_id, enabled, author=author)

    def secret(self, webhook: Webhook) -> str:
        """What the partner verifies with, of the newest key: `whsec_...` or `whpk_...`."""
        return shared_secret(self.webhooks.secrets[0], webhook.id, webhook.keys[-1])

    async def send_test(self, webhook_id: str) -> str:
        """Send an event that says nothing. Returns its id; the log shows what came of it."""
        webhook, now = self._active(webhook_id), datetime.now(UTC)
        event_id = f"test-{token_hex(8)}"
        envelope = Envelope(
            specversion="1.0",
            id=event_id,
            source=f"/{self._mesh.region}/webhooks",
            type=TEST_TYPE,
            subject=webhook.id,
            time=now,
            data=msgspec.Raw(msgspec.json.encode({"webhook_id": webhook.id, "name": webhook.form.name})),
        )
        due = DeliveryDue(
            delivery_id=derive_id(event_id, webhook.id),
            webhook_id=webhook.id,
            event_id=event_id,
            event_type=TEST_TYPE,
            stream="",
            sequence=0,
            origin="test",
            body=msgspec.json.encode(envelope).decode(),
        )
        await self._deliverer.take([Job(due=due)])
        return event_id

    async def send_again(self, webhook_id: str, delivery_id: str) -> None:
        """Deliver once more what the log has of a delivery, from its first attempt on."""
        self._active(webhook_id)
        async for received in attempts(self._mesh, webhook_id):
            attempted = received.event
            if attempted.delivery_id == delivery_id and attempted.stream:
                due = DeliveryDue(
                    delivery_id=derive_id(delivery_id, token_hex(8)),
                    webhook_id=webhook_id,
                    event_id=attempted.event_id,
                    event_type=attempted.event_type,
                    stream=attempted.stream,
                    sequence=attempted.sequence,
                    origin="resend",
                )
                await self._deliverer.take([Job(due=due)])
                return
        raise InvalidField("$.delivery_id", "the log has no such delivery, or it was a test: send a new one")

    async def replay(self, webhook_id: str, since: datetime, until: datetime, author: str) -> str:
        """Deliver again what happened in this region from `since` on and before `until`. Returns the replay's id."""
        self._active(webhook_id)
        if not since < until:
            raise InvalidField("$.until", "it must be after `since`")
        if until - since > LONGEST_REPLAY:
            raise InvalidField("$.since", f"{LONGEST_REPLAY.days} days are the most at once")
        replay_id = f"replay-{token_hex(8)}"
        await self._mesh.publish(
            WebhookReplayRequested(webhook_id=webhook_id, replay_id=replay_id, since=since, until=until, author=author)
        )
        return replay_id

    def _active(self, webhook_id: str) -> Webhook:
        webhook = self.find(webhook_id)
        if not webhook.active:
            raise InvalidField("$", f"{webhook.form.name} is disabled: enable it first")
        return webhook


def _taken_apart(form: WebhookForm) -> tuple[WebhookForm, str | None]:
    """A completed form without its password, and that; None where there is none."""
    password = None if form.password is msgspec.UNSET else form.password
    return msgspec.structs.replace(form, password=msgspec.UNSET).completed, password


def _with_new_key(webhook: Webhook, now: datetime, grace: timedelta) -> Webhook:
    """The webhook with one more key; those before end after `grace`, or earlier where they were to."""
    ending = [
        msgspec.structs.replace(key, ends=min(key.ends or now + grace, now + grace))
        for key in webhook.keys
        if key.signs_at(now)
    ]
    number = max(key.number for key in webhook.keys) + 1
    new = SigningKey(number=number, kind=webhook.form.signature, created=now)
    return msgspec.structs.replace(webhook, keys=(*ending[-(KEYS_KEPT - 1) :], new))
