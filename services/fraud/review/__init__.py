"""Has people review orders that look like fraud, and edit the rules: with a trial on the log, and in shadow."""

from typing import TYPE_CHECKING, Any

from mesh import Mesh, Service
from mesh.events.fraud import FraudLabelled, FraudRulesPublished
from services.fraud.current_rules import FRAUD_RULES

if TYPE_CHECKING:
    from mesh.web.console import Console

service = Service(
    "fraud-review",
    publishes=(FraudLabelled, FraudRulesPublished),
    buckets=(FRAUD_RULES,),
    asks=("checkout",),
    port=8180,
)


@service.page("/fraud", title="Fraud", role="viewer", section="Shop")
def fraud_pages(console: "Console", mesh: Mesh) -> list[Any]:
    """Payments that look like fraud and wait for a person; the rules, tried on past orders before they decide."""
    from services.fraud.review.queue import queue_routes  # noqa: PLC0415  brings Litestar, which others do not need
    from services.fraud.review.rules_page import rules_routes  # noqa: PLC0415  the same

    return [*queue_routes(console, mesh), *rules_routes(console, mesh)]
