"""Current rules: those that decide and those in shadow, as they were published last in whichever region."""

import asyncio
from datetime import datetime, timedelta

import msgspec

from mesh import Bucket, Mesh, Received, Unchanged
from mesh.errors import Conflict, MeshError
from mesh.events.fraud import FraudRules, FraudRulesPublished, RuleSet
from mesh.observability.logs import log
from services.fraud.rules import Rules


class RulesDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A revision of rules: who published it, when (aware UTC) and in which region. `rules` None: turned off."""

    name: RuleSet
    revision: int
    author: str
    time: datetime
    region: str
    rules: FraudRules | None
    note: str = ""

    @property
    def order(self) -> tuple[int, datetime, str]:
        """Of two revisions the greater one is in force. The same in every region."""
        return self.revision, self.time, self.region


FRAUD_RULES: Bucket[RulesDocument] = Bucket("fraud-rules", RulesDocument, history=8)
"""The rules in force, by name: kept when the log has forgotten when they were published."""


class CurrentRules:
    """What one process knows of the rules. `settings` are in force until others were published."""

    def __init__(self, mesh: Mesh, settings: FraudRules) -> None:
        self._state = mesh.state(FRAUD_RULES)
        self._filled = False
        self.settings = settings
        self.live = Rules(settings)
        self.shadow: Rules | None = None
        self.shadow_revision = 0

    async def follow(self) -> None:
        """Keep the rules as the bucket has them, until cancelled. Losing the servers pauses it."""
        while True:
            try:
                async with self._state.watch() as entries:
                    async for entry in entries:
                        if entry is None:
                            self._filled = True
                        elif entry[1] is not None:
                            self._apply(entry[1])
            except MeshError as error:
                log.warning("fraud rules are not followed", error=str(error))
            await asyncio.sleep(timedelta(seconds=1).total_seconds())

    def unready(self) -> str | None:
        """Why nothing can be judged yet."""
        return None if self._filled else "the fraud rules are still being read"

    def _apply(self, document: RulesDocument) -> None:
        if document.name == "live":
            self.live = Rules(document.rules or self.settings)
        else:
            self.shadow = Rules(document.rules) if document.rules else None
            self.shadow_revision = document.revision


async def put_in_force(received: Received[FraudRulesPublished], mesh: Mesh) -> None:
    """A published revision is in force here, unless a newer one is."""
    published = received.event
    document = RulesDocument(
        name=published.name,
        revision=published.revision,
        author=published.author,
        time=received.time,
        region=received.region,
        rules=published.rules,
        note=published.note,
    )
    await mesh.state(FRAUD_RULES).update(
        published.name, lambda found: document if found is None or document.order > found.order else found
    )


async def publish_rules(
    name: RuleSet, rules: FraudRules | None, *, author: str, note: str, expected: int, mesh: Mesh
) -> int:
    """Publish rules as the revision after the `expected` one, which must be in force; the new revision's number.

    Raises DeclarationError for a rule that says nothing, and Conflict where another revision is in force.
    """
    if rules is not None:
        Rules(rules)
    current = await mesh.state(FRAUD_RULES).get(name)
    last = await mesh.last(FraudRulesPublished, name)
    if (current.revision if current else 0) != expected or (last and last.event.revision > expected):
        raise Conflict(f"other {name} rules were published meanwhile: look at them, then do it again")
    event = FraudRulesPublished(name=name, revision=expected + 1, author=author, rules=rules, note=note)
    await mesh.publish(event, Unchanged(FraudRulesPublished, name, last.sequence if last else 0))
    stored = await mesh.last(FraudRulesPublished, name)
    if stored is not None:
        await put_in_force(stored, mesh)
    return event.revision
