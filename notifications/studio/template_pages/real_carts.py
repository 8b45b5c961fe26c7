"""Real carts: the newest carts that were left, to look at a mail as their shoppers would get it."""

from notifications.studio.decision_pages.recent_decisions import RecentDecisions
from notifications.studio.decision_pages.words import moment, money

MOST_CARTS = 20


def cart_choices(recent: RecentDecisions) -> list[tuple[str, str]]:
    """The newest carts that journeys decided about, each with words that tell it apart and say nothing of who it is."""
    found: dict[str, str] = {}
    for one in recent.newest():
        if one.total is not None and one.total.amount and one.cart_id not in found:
            found[one.cart_id] = f"{moment(one.at)}, {money(one.total)}, {one.region}"
        if len(found) == MOST_CARTS:
            break
    return list(found.items())
