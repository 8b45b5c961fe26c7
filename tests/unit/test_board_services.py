"""Which services run in each region, as the board folds it from their reports."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from mesh import Mesh, Received
from mesh.broker.memory import MemoryMesh
from mesh.events.mesh import ServiceReported, ServiceStarted, ServiceStopped
from services.operations.board.board import Board

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = 86_400


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def received(event, region="us"):
    return Received(
        event=event, id="e", time=event.at, stored=event.at, region=region, sequence=1, subject="", traceparent=None
    )


def started(instance="a", since=100, *, service="carts", region="us"):
    return received(ServiceStarted(service=service, instance=instance, machine="host-1", at=ago(since)), region)


def running(instance="a", since=100, at=5, *, service="carts", region="us"):
    return received(
        ServiceReported(service=service, instance=instance, machine="host-1", since=ago(since), at=ago(at)), region
    )


def stopped(instance="a", at=5, *, service="carts", region="us"):
    return received(ServiceStopped(service=service, instance=instance, at=ago(at)), region)


def state(*reports, expected=("carts",)):
    board = Board(Mesh(MemoryMesh("us", "eu").broker("us"), "board", others=("eu",)), expected)
    for report in reports:
        board.add(report)
    return board.state(NOW)


def of(seen, name="carts", region="us"):
    return next(one for one in seen.services if (one.name, one.region) == (name, region))


def test_a_service_that_reports_is_shown_with_its_instances():
    """Where each runs and since when, the oldest first."""
    shown = of(state(started(), running(), running("b", 40), started("b", 40)))

    assert (shown.state, shown.restarts, shown.reported) == ("running", 0, ago(5))
    assert [(one.id, one.machine, one.since) for one in shown.instances] == [
        ("a", "host-1", ago(100)),
        ("b", "host-1", ago(40)),
    ]


def test_a_service_that_was_killed_is_named_as_missing():
    """It published no stop: three reports that did not come say it, while others of its region report."""
    seen = state(started(), running(at=36), running("w", service="watch"))

    assert (of(seen).state, of(seen).instances) == ("missing", ())
    assert seen.missing == ("carts in us (last report 11:59:24 UTC)",)


def test_a_service_that_stopped_is_missing_at_once():
    """Nobody waits for reports that will not come."""
    seen = state(started(), running(at=2), stopped(at=1), running("w", service="watch"))

    assert (of(seen).state, seen.missing) == ("missing", ("carts in us (last report 11:59:59 UTC)",))


@pytest.mark.parametrize(
    ("age", "shown", "missing"), [(59, "unknown", ()), (61, "missing", ("carts in us (never reported)",))]
)
def test_a_service_that_never_reported_is_missing_once_its_region_has_had_time_to_start(age, shown, missing):
    """A region starts its services one after the other."""
    seen = state(running("w", age, service="watch"))

    assert (of(seen).state, seen.missing) == (shown, missing)


def test_nothing_is_said_of_a_region_that_does_not_report():
    """With the link cut its services may all run: they are unknown, not missing."""
    seen = state(running(region="eu", at=300, since=900), running("w", service="watch"), running())

    assert (of(seen, region="eu").state, of(seen).state) == ("unknown", "running")
    assert seen.missing == ()


def test_a_demo_may_be_stopped():
    """What need not run is shown as stopped for a day, and is not missing."""
    reports = (running(), running("s", service="storefront", at=2), stopped("s", service="storefront", at=1))

    assert (of(state(*reports), "storefront").state, state(*reports).missing) == ("stopped", ())
    gone = state(running(), stopped("s", service="storefront", at=DAY + 1))
    assert [one.name for one in gone.services if one.region == "us"] == ["carts"]


RESTARTS = {
    "first start": ([started(), running()], 0),
    "killed and started": ([started("a", 900), running("a", 900, 500), started("b", 490), running("b", 490)], 1),
    "stopped and started twice": (
        [
            started("a", 900),
            stopped("a", 500),
            started("b", 490),
            stopped("b", 300),
            started("c", 290),
            running("c", 290),
        ],
        2,
    ),
    "one more instance": ([started("a", 900), running("a", 900), started("b", 400), running("b", 400)], 0),
    "restarted two days ago": (
        [started("a", 3 * DAY), stopped("a", 2 * DAY), started("b", 2 * DAY - 5), running("b", 2 * DAY - 5)],
        0,
    ),
    "killed after days, its last report long expired": (
        [started("a", 5 * DAY), started("b", 600), running("b", 600)],
        1,
    ),
    "an earlier restart is not counted for a new instance": (
        [started("a", 5 * DAY), started("b", 3 * DAY), running("b", 3 * DAY), started("c", 60), running("c", 60)],
        0,
    ),
}


@pytest.mark.parametrize(("reports", "restarts"), RESTARTS.values(), ids=RESTARTS)
def test_a_restart_is_a_start_after_an_instance_had_ended(reports, restarts):
    """Counted for a day, whatever the order in which reports come and however often."""
    for order in list(permutations(reports))[:60]:
        assert of(state(*order, *order)).restarts == restarts
