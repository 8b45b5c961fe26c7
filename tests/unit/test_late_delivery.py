"""What is sent late waits until the other regions' purchases have arrived."""

from datetime import UTC, datetime, timedelta

import pytest

from mesh import Mesh, Received
from mesh.events.offer import OfferDecided
from mesh.history import History
from notifications.channels.delivery_state import DeliveryState
from notifications.channels.late_delivery import LONGEST_WAIT, ages_where_late, wait_for_others
from notifications.channels.reading import Reading
from notifications.shopper_profile import ShopperProfile
from tests.approved_offer import approved_offer

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
FRESH, STALE = timedelta(seconds=1), timedelta(seconds=30)


def decided(ago: float) -> Received[OfferDecided]:
    at = NOW - timedelta(seconds=ago)
    event = approved_offer(due=at)
    return Received(event=event, id="d1", time=at, stored=at, region="ap", sequence=7, subject="")


def waited_for(ago, ages, *, regions=("ap",), deferred_ago=None):
    offer = decided(ago)
    until = None if deferred_ago is None else NOW - timedelta(seconds=deferred_ago)
    state = DeliveryState(settled=False, bought=None, changed=False, unanswered=None, attempt=1, until=until)
    reading = Reading(
        offered=offer.event,
        history=History("c1", ()),
        profile=ShopperProfile(),
        purchases={},
        at=0.0,
        regions=regions,
    )
    return wait_for_others(offer, state, reading, ages, NOW)


@pytest.mark.parametrize(
    ("ago", "ages", "more", "waits"),
    [
        (11, {"us": FRESH}, {}, False),
        (11, {"us": STALE}, {}, True),
        (11, {"us": None}, {}, True),
        (3600, {"us": STALE}, {"deferred_ago": 1}, False),
        (3600, {"us": STALE}, {"deferred_ago": 1, "regions": ("ap", "us")}, True),
        (3600, {"us": STALE, "eu": FRESH}, {"deferred_ago": 1, "regions": ("ap", "eu")}, False),
    ],
    ids=[
        "all were heard",
        "the region or the mail server was away, and another region was not heard of since",
        "another region was never heard of",
        "deferred by the mail server: a shopper of this region alone",
        "deferred by the mail server: a shopper who may have bought there",
        "deferred by the mail server: the region where they may have bought was heard",
    ],
)
def test_what_is_sent_late_waits_for_regions_that_were_not_heard(ago, ages, more, waits):
    """Whoever may have bought in a region that is not up to date here gets nothing before it is."""
    wait = waited_for(ago, ages, **more)

    assert (wait is not None) == waits
    assert wait is None or (wait.again_after and timedelta(seconds=1) <= wait.again_after <= timedelta(minutes=1))


def test_the_wait_ends():
    """After it those who were active in the silent region get nothing; everybody else gets their offer."""
    ago = LONGEST_WAIT.total_seconds() + 1

    known_there = waited_for(ago, {"us": STALE}, regions=("ap", "us"))

    assert known_there is not None
    assert known_there.again_after is None
    assert known_there.words == "nothing was heard of us for 5 s"
    assert waited_for(ago, {"us": STALE}, regions=("ap",)) is None


async def test_what_is_sent_at_once_asks_nothing_of_other_regions(regions):
    """Only who is late pays for the question."""
    here = Mesh(regions.broker("us"), "channels", others=("eu",))

    assert await ages_where_late(decided(9), here, NOW) == {}
    assert await ages_where_late(decided(11), here, NOW) == {"eu": None}
