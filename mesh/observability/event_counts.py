"""Tallies: what a region's write streams count, one count for each event that is kept."""

from dataclasses import dataclass

from mesh.event import Declaration, declared
from mesh.streams import DEFAULT_LAYOUT, StreamLayout
from mesh.subjects import every

_MARK = "tally-"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """A count: of which event (`interaction.product_viewed`), in which stream, by which consumer."""

    type: str
    stream: str
    name: str
    subject: str


def tallies(region: str, layout: StreamLayout = DEFAULT_LAYOUT) -> tuple[Tally, ...]:
    """One for each event, whatever its version. Not of personal ones, nor of those that expire: they are not kept."""
    counted = (declaration for declaration in declared() if not declaration.personal and declaration.ttl is None)
    made = (_tally(declaration, region, layout) for declaration in counted)
    return tuple({tally.name: tally for tally in made}.values())


def _tally(declaration: Declaration, region: str, layout: StreamLayout) -> Tally:
    return Tally(
        type=f"{declaration.domain}.{declaration.happening}",
        stream=layout.stream_of(declaration, region),
        name=f"{_MARK}{declaration.domain}-{declaration.happening}",
        subject=every(declaration, region=region),
    )
