"""Current rules: those that decide and those in shadow, as they were published last in whichever region."""

from datetime import datetime

import msgspec

from mesh import Bucket, Mesh, Received, Unchanged
from mesh.errors import Conflict
from mesh.events.fraud import FraudRules, FraudRulesPublished, RuleSet
from services.fraud.followed_bucket import FollowedBucket
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


class CurrentRules(FollowedBucket[RulesDocument]):
    """What one process knows of the rules. `settings` are in force until others were published."""

    def __init__(self, mesh: Mesh, settings: FraudRules) -> None:
        super().__init__(mesh.state(FRAUD_RULES), "fraud rules")
        self.settings = settings
        self.live = Rules(settings)
        self.shadow: Rules | None = None
        self.shadow_revision = 0

    def _apply(self, key: str, document: RulesDocument | None) -> None:  # noqa: ARG002  the document has its name
        if document is None:
            return
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
