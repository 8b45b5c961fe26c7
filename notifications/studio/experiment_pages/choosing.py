"""Choosing: the winners that journeys' rules choose are published, each once, by one region."""

from collections.abc import Sequence
from datetime import date, timedelta

import msgspec
import tomlkit

from mesh import Mesh
from mesh.envelope import derive_id
from mesh.errors import Conflict, DeclarationError
from mesh.events.console import ConsoleChanged
from mesh.observability.logs import log
from mesh.publish import Draft
from notifications.documents.document import WINNER_RULE, Document
from notifications.documents.publishing import store, versions
from notifications.journeys import Journey, parse
from notifications.journeys.kind import FILE, JOURNEYS, files_of, journey_of
from notifications.journeys.steps import Step
from notifications.studio.experiment_pages.margins import Margin
from notifications.studio.experiment_pages.measuring import read_figures, read_offers
from notifications.studio.experiment_pages.result import Read
from notifications.studio.experiment_pages.split import split_of
from notifications.studio.experiment_pages.variants import variants_of
from notifications.studio.experiment_pages.winner import Choice, choose


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """Since when a step's variants are what they are now: the first day that counts; None where all do.

    `chosen`: the rule has chosen among them before, so that it does not again.
    """

    since: date | None
    chosen: bool


async def choose_winners(mesh: Mesh, window: timedelta, today: date) -> list[Document]:
    """Publish the winners that are known now, in journeys whose revision in force is of this region.

    The region that published a revision goes on with it, and the first by name with one that came with Cartmesh or
    from a region that is gone: so that no two regions publish the same. Raises Unavailable.
    """
    published, read = list[Document](), None
    async for name, document in mesh.state(JOURNEYS.bucket).items():
        journey = journey_in_force(document)
        if journey is None or not _waiting(journey) or _responsible(document, mesh) != mesh.region:
            continue
        read = await read_figures(mesh, today) if read is None else read
        changed = document.files[FILE]
        for step in _waiting(journey):
            choice = await choice_of(journey, step, mesh, read, window, today)
            if choice.winner:
                changed = with_winner(changed, step.name, choice.winner)
        if changed != document.files[FILE] and (made := await _publish(name, changed, document, mesh)):
            published.append(made)
    return published


async def choice_of(journey: Journey, step: Step, mesh: Mesh, read: Read, window: timedelta, today: date) -> Choice:
    """What the rule of a step says now, by what was read of all experiments. Raises Unavailable."""
    tested = await what_was_tested(journey.name, step, mesh)
    if tested.chosen:
        return Choice(winner="", words="A person undid what the rule chose: it does not choose among these again.")
    split = split_of(journey, step, read, tested.since)
    if split is not None and split.suspect:
        return Choice(winner="", words="It chooses nothing while the variants are given to others than chance would.")
    read = {key: groups for key, groups in read.items() if tested.since is None or key[1] >= tested.since}
    offers = await read_offers(mesh, today, journey.name, since=tested.since)
    margin = Margin(share=journey.margin_percent / 100)
    found = variants_of(journey.name, read, today, window, margin=margin, offers=offers)
    results = next((one.variants for one in found if one.step == step.name), ())
    choice = choose(step, results)
    since = f" Counted since {tested.since}, when this test began." if tested.since else ""
    return msgspec.structs.replace(choice, words=choice.words + since)


async def what_was_tested(name: str, step: Step, mesh: Mesh) -> Tested:
    """Since when a step tests these variants: what others that it had before brought says nothing of them."""
    since: date | None = None
    for version in await versions(JOURNEYS, name, mesh):
        if version.state not in ("in force", "replaced"):
            continue
        journey = journey_in_force(version.document)
        earlier = next((one for one in journey.steps if one.name == step.name), None) if journey else None
        if earlier is None or not earlier.variants:
            break
        if what_is_tested(earlier) != what_is_tested(step):
            chose = version.document.author == WINNER_RULE and bool(earlier.winner)
            # Some of the day on which it changed was of what there was before.
            return Tested(since=since and since + timedelta(days=1), chosen=chose and _is_same(earlier, step))
        since = version.document.time.date()
    return Tested(since=since, chosen=False)


def what_is_tested(step: Step) -> tuple[object, ...]:
    """What makes results of a step say something of it: the variants, and the chance that each of them has."""
    variants = sorted((one.name, one.template, one.discount_percent, one.after, one.share) for one in step.variants)
    return step.allocation, step.template, step.discount_percent, step.channels, step.winner, variants


def with_winner(text: str, step: str, winner: str) -> str:
    """A journey's TOML with the winner of a step; all else stays as it is written."""
    document = tomlkit.parse(text)
    for table in document.get("steps", []):
        if table.get("name") == step:
            table["winner"] = winner
    return tomlkit.dumps(document)


async def _publish(name: str, text: str, document: Document, mesh: Mesh) -> Document | None:
    """Publish a journey whose winner is known; those who wait get it. None where somebody published meanwhile."""
    try:
        await JOURNEYS.validate(name, files_of(text), mesh)
        made = await store(JOURNEYS, name, files_of(text), WINNER_RULE, mesh, current=document)
    except Conflict:
        return None  # another process chose, or a person published: the next look decides anew
    except DeclarationError as error:
        log.error("the winner of a journey is known and cannot be published", journey=name, error=str(error))
        return None
    winners = {one.name: one.winner for one in parse(name, text, {}).steps if one.winner}
    noted = ConsoleChanged(
        account_id=WINNER_RULE,
        action="choose-winner",
        page="/experiments",
        at=made.time,
        subject=f"{JOURNEYS.name}/{name}",
        details={"revision": str(made.revision), **{f"winner of {step}": one for step, one in winners.items()}},
    )
    await mesh.publish(Draft(event=noted, id=derive_id("winner", name, mesh.region, str(made.revision))))
    return made


def _waiting(journey: Journey) -> Sequence[Step]:
    """The steps whose winner is to be chosen by their rule."""
    return [one for one in journey.steps if one.choose_winner and not one.winner] if journey.active else []


def _responsible(document: Document, mesh: Mesh) -> str:
    regions = sorted((mesh.region, *mesh.others))
    return document.region if document.revision and document.region in regions else regions[0]


def _is_same(earlier: Step, step: Step) -> bool:
    """Whether they differ in nothing but the winner."""
    return what_is_tested(msgspec.structs.replace(earlier, winner=step.winner)) == what_is_tested(step)


def journey_in_force(document: Document) -> Journey | None:
    """A journey as this process decides with it, what the environment sets included; None where it cannot be read."""
    try:
        return journey_of(document)
    except DeclarationError:
        return None
