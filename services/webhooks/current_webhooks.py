"""Current webhooks: those in force, as one process knows them; publishing a revision, and putting it in force."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from mesh import Event, Mesh, Received, Unchanged
from mesh.errors import Conflict, MeshError
from mesh.event import declaration_of
from mesh.events.webhook import WebhookDisabled, WebhookPublished
from mesh.filters import Matches, compiled
from mesh.observability.logs import log
from mesh.partner_events import PARTNER_EVENTS, types
from mesh.publish import Draft
from services.webhooks.signing import SecretSettings
from services.webhooks.webhook import WEBHOOKS, StoredWebhook, Webhook, sealed

PAUSE = 1.0
"""Seconds after losing the servers before the bucket is followed again."""
CLOCKS_DIFFER = timedelta(seconds=5)
"""By how much this clock and the servers' may differ."""
Want = Callable[[Collection[type[Event]]], Awaitable[None]]
SYSTEM = "webhooks"
"""The author of what the service itself changes."""


@dataclass(frozen=True, kw_only=True)
class InForce:
    """A webhook with its revision, its filters compiled, and since when it gets events of each type.

    What was stored before may be delivered to this service all the same, once the type is wanted (`Interest`).
    """

    stored: StoredWebhook
    webhook: Webhook
    matches: Matches
    begun: Mapping[str, datetime]


class CurrentWebhooks:
    """The webhooks by id and, of those that are active, by the types of event that they get.

    `unreadable` are the ids of those that were sealed with a secret that is not known here. `want` has kinds of event
    delivered to this service, and no others: those that an active webhook gets.
    """

    def __init__(self, mesh: Mesh, settings: SecretSettings, want: Want) -> None:
        self.mesh, self.secrets, self._want = mesh, settings.secrets, want
        self._wanted: frozenset[type[Event]] | None = None
        self._wanting = asyncio.Lock()
        self.by_id: dict[str, InForce] = {}
        self.unreadable: set[str] = set()
        self.any_ever = False
        """Whether there is or was one."""
        self._by_type: dict[str, list[InForce]] = {}
        self._state = mesh.state(WEBHOOKS)
        self.filled = asyncio.Event()

    async def follow(self) -> None:
        """Keep the webhooks as the bucket has them, until cancelled. Losing the servers pauses it."""
        while True:
            try:
                async with self._state.watch() as entries:
                    async for entry in entries:
                        if entry is None:
                            self._index()
                            self.filled.set()
                        elif entry[1] is not None:
                            self._take(entry[1])
                        if self.filled.is_set():
                            await self._want_those()
            except MeshError as error:
                log.warning("webhooks are not followed", error=str(error))
            await asyncio.sleep(PAUSE)

    def subscribed(self, type_: str, stored: datetime) -> list[InForce]:
        """The active webhooks that get events of a type, before their filters; none of what was stored before them."""
        return [one for one in self._by_type.get(type_, []) if stored >= one.begun[type_] - CLOCKS_DIFFER]

    def active(self, webhook_id: str) -> InForce | None:
        """A webhook that something is sent to, or None."""
        found = self.by_id.get(webhook_id)
        return found if found and found.webhook.active else None

    def __iter__(self) -> Iterator[InForce]:
        return iter(sorted(self.by_id.values(), key=lambda one: (one.webhook.form.name.casefold(), one.webhook.id)))

    async def publish(self, webhook_id: str, webhook: Webhook | None, *, author: str, expected: int) -> StoredWebhook:
        """Publish a webhook (None: delete it) as the revision after the `expected` one (0: there was none).

        It is in force in this process at once, and in every other as soon as the event reaches it. Raises Conflict
        where another revision is in force, and Unavailable.
        """
        current = await self._state.get(webhook_id)
        last = await self.mesh.last(WebhookPublished, webhook_id)
        if (current.revision if current else 0) != expected or (last and last.event.revision > expected):
            raise Conflict("somebody changed this webhook meanwhile: look at it, then do it again")
        document = sealed(webhook, self.secrets[0]) if webhook else None
        event = WebhookPublished(webhook_id=webhook_id, revision=expected + 1, author=author, document=document)
        now = datetime.now(UTC)
        unchanged = Unchanged(WebhookPublished, webhook_id, last.sequence if last else 0)
        await self.mesh.publish(Draft(event=event, time=now), unchanged)
        stored = StoredWebhook(
            webhook_id=webhook_id,
            revision=event.revision,
            author=author,
            time=now,
            region=self.mesh.region,
            sealed=document,
        )
        await self._put_in_force(stored)
        return stored

    async def change(
        self, webhook_id: str, changed: Callable[[Webhook], Webhook], *, author: str, tries: int = 5
    ) -> Webhook | None:
        """Publish what `changed` makes of the webhook in force; None where there is none. Raises as `publish`."""
        for turn in range(tries):
            stored = await self._state.get(webhook_id)
            webhook = stored.opened(self.secrets) if stored else None
            if stored is None or webhook is None:
                return None
            after = changed(webhook)
            if after == webhook:
                return webhook
            try:
                await self.publish(webhook_id, after, author=author, expected=stored.revision)
            except Conflict:
                if turn == tries - 1:
                    raise
            else:
                return after
        return None

    async def disable(self, webhook_id: str, reason: str, failing_since: datetime | None) -> None:
        """Send nothing more to a webhook, and raise the alarm. Harmless where it is disabled already."""
        found = self.active(webhook_id)
        if found is None:
            return
        after = await self.change(webhook_id, lambda one: _disabled(one, reason), author=SYSTEM)
        if after is None:
            return
        log.error("webhook disabled", webhook=webhook_id, name=after.form.name, reason=reason)
        alarm = WebhookDisabled(webhook_id=webhook_id, name=after.form.name, reason=reason, failing_since=failing_since)
        await self.mesh.publish(alarm)

    async def put_in_force(self, received: Received[WebhookPublished]) -> None:
        """A revision that was published in any region is in force here, unless a newer one is."""
        event = received.event
        await self._put_in_force(
            StoredWebhook(
                webhook_id=event.webhook_id,
                revision=event.revision,
                author=event.author,
                time=received.time,
                region=received.region,
                sealed=event.document,
            )
        )

    async def _put_in_force(self, stored: StoredWebhook) -> None:
        made = await self._state.update(
            stored.webhook_id,
            lambda found: stored if found is None or stored.order > found.order else found,
        )
        self._take(made.after)
        await self._want_those()

    async def _want_those(self) -> None:
        """Have delivered what the active webhooks get, and nothing else. Raises Unavailable."""
        async with self._wanting:
            kinds = frozenset(kind for kind in PARTNER_EVENTS if declaration_of(kind).type in self._by_type)
            if kinds != self._wanted:
                await self._want(kinds)
                self._wanted = kinds

    def _take(self, stored: StoredWebhook) -> None:
        self.any_ever = True
        known = self.by_id.get(stored.webhook_id)
        if known is not None and known.stored.order > stored.order:
            return
        webhook = stored.opened(self.secrets)
        if webhook is None:
            self.by_id.pop(stored.webhook_id, None)
            if stored.sealed is not None:
                self.unreadable.add(stored.webhook_id)
                log.error(
                    "a webhook was sealed with another CARTMESH_WEBHOOK_SIGNING_SECRET", webhook=stored.webhook_id
                )
        else:
            matches = compiled(webhook.form.filters)
            begun = _begun(known, stored, webhook)
            self.by_id[webhook.id] = InForce(stored=stored, webhook=webhook, matches=matches, begun=begun)
            self.unreadable.discard(webhook.id)
        if self.filled.is_set():
            self._index()

    def _index(self) -> None:
        found: dict[str, list[InForce]] = {}
        for one in self.by_id.values():
            if one.webhook.active:
                for type_ in one.begun:
                    found.setdefault(type_, []).append(one)
        self._by_type = found


def _begun(known: InForce | None, stored: StoredWebhook, webhook: Webhook) -> dict[str, datetime]:
    """Since when a webhook gets each type: as before, or since this revision; one just met since it was made."""
    if not webhook.active:
        return {}
    others = webhook.created if known is None else stored.time
    before = known.begun if known else {}
    return {type_: before.get(type_, others) for type_ in webhook.form.types or types()}


def _disabled(webhook: Webhook, reason: str) -> Webhook:
    return webhook if webhook.disabled is not None else msgspec.structs.replace(webhook, disabled=reason)
