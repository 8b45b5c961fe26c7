"""Due steps: which steps of which runs are to be decided now, and by which revision of their journeys."""

from collections.abc import Iterator, Sequence

import msgspec

from mesh import Mesh
from mesh.events.offer import OfferDecided
from mesh.history import History
from notifications.decision_context import DecisionRequest
from notifications.journeys import Journey
from notifications.journeys.live import LiveJourney, LiveJourneys
from notifications.journeys.steps import Step
from notifications.occasion import Started
from notifications.progress import Progress, journeys_decided, progress_of, step_at


class DueStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a run that is to be decided; `last` is the newest decision about it.

    `name` is what the run knows the step by. `step` is None where the journey has it no more.
    """

    run: LiveJourney
    name: str
    position: int
    step: Step | None
    last: OfferDecided | None
    progress: Progress

    @property
    def attempt(self) -> int:
        """How many times it is decided about, this one included."""
        return self.last.attempt + 1 if self.last else 1


async def due_steps(
    request: DecisionRequest, occasion: Started, history: History, journeys: LiveJourneys, mesh: Mesh
) -> list[DueStep]:
    """What is to be decided; those of higher priority first."""
    starting = journeys.started_by(occasion.event, mesh.region)
    return [await _with_revision(one, journeys, mesh) for one in _due(request, history, journeys, starting)]


def stopped(name: str) -> LiveJourney:
    """Stands for a journey that has runs and no document any more."""
    return LiveJourney(journey=Journey(name=name, template=name, active=False))


def first_step(run: LiveJourney, progress: Progress) -> DueStep:
    """The first step of a run that nothing was decided about."""
    step = run.journey.listed_steps[0]
    return DueStep(run=run, name=step.name, position=1, step=step, last=None, progress=progress)


def _due(
    request: DecisionRequest, history: History, journeys: LiveJourneys, starting: Sequence[LiveJourney]
) -> Iterator[DueStep]:
    started = journeys_decided(history, request.abandonment_id)
    if request.attempt == 1 and not started:
        for run in starting:
            yield first_step(run, progress_of(history, request.abandonment_id, run.name))
        return
    if request.journey is None:
        return
    progress = progress_of(history, request.abandonment_id, request.journey)
    last = progress.newest(request.step)
    if last is not None and last.outcome == "held" and last.attempt < request.attempt:
        yield DueStep(
            run=journeys.get(request.journey) or stopped(request.journey),
            name=request.step,
            position=last.position,
            step=None,
            last=last,
            progress=progress,
        )


async def _with_revision(one: DueStep, journeys: LiveJourneys, mesh: Mesh) -> DueStep:
    """With the journey as the marketer wants runs under way to go on: as it is now, or as the run had it last."""
    before = one.progress.last
    if before is None:
        return one
    run = one.run
    if run.journey.is_on_in(mesh.region) and (wanted := run.goes_on_with(before.journey_revision)) != run.revision:
        run = await journeys.as_of(run.name, wanted, mesh) or run
    return msgspec.structs.replace(one, run=run, step=step_at(run.journey, one.name, one.position))
