"""Every process reports the services that it runs."""

from datetime import timedelta

from mesh.events.mesh import SERVICE_REPORTS, ServiceReported, ServiceStarted, ServiceStopped
from mesh.runtime.service_reports import reporting
from mesh.service import Service
from mesh.topology.derive.permissions import service_permissions

OFTEN = timedelta(milliseconds=20)


async def reports(mesh, *kinds):
    return [received.event async for received in mesh.read(*(kinds or SERVICE_REPORTS))]


async def test_a_service_reports_that_it_began_still_runs_and_stopped(mesh, eventually):
    """Under one name: of one start and one stop, and of as many reports between as there is time for."""
    async with reporting(mesh, every=OFTEN) as instance:
        await eventually(lambda: _at_least(mesh, 3), within=60)

    (began,), (ended,) = await reports(mesh, ServiceStarted), await reports(mesh, ServiceStopped)
    still = await reports(mesh, ServiceReported)
    assert {one.instance for one in (began, *still, ended)} == {instance}
    assert {one.service for one in (began, *still, ended)} == {mesh.service}
    assert {one.since for one in still} == {began.at}
    assert began.at <= still[0].at < still[-1].at <= ended.at


async def _at_least(mesh, count):
    return len(await reports(mesh, ServiceReported)) >= count


async def test_a_region_that_does_not_answer_keeps_no_service_from_starting_or_stopping(regions, mesh):
    """What cannot be stored is left out."""
    regions.stop("us")

    async with reporting(mesh, every=OFTEN):
        pass

    regions.start("us")
    assert await reports(mesh) == []


def test_a_service_may_report_itself_alone():
    """Its user cannot make another one look alive."""
    granted = service_permissions(Service("loyalty"), "us").publish

    assert [subject for subject in granted if ".mesh." in subject] == [
        "ev.us.mesh.service_started.loyalty",
        "ev.us.mesh.service_reported.loyalty",
        "ev.us.mesh.service_stopped.loyalty",
    ]
