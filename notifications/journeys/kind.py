"""Journeys as documents: one TOML text each."""

from difflib import get_close_matches
from pathlib import Path

from mesh import Mesh
from mesh.errors import DeclarationError
from mesh.events.journey import JourneyPublished
from notifications.documents.document import Document
from notifications.documents.kind import Files, Kind
from notifications.documents.publishing import names_of
from notifications.journeys import Journey, overrides_from_environment, parse, sources
from notifications.templates.kind import TEMPLATES

FILE = "journey.toml"
"""The name of a journey's only text."""


def files_of(source: str) -> dict[str, str]:
    """A journey's TOML text as the files of its document."""
    return {FILE: source}


def journey_of(document: Document) -> Journey:
    """The journey as this process decides with it, the environment's overrides included. DeclarationError."""
    return parse(document.name, document.files[FILE], overrides_from_environment())


def _read(path: Path) -> tuple[str, dict[str, str]]:
    if path.suffix != ".toml" or not path.is_file():
        raise DeclarationError(f"{path}: a journey is one .toml file")
    return path.stem, files_of(path.read_text(encoding="utf-8"))


def _read_folder(folder: str) -> dict[str, dict[str, str]]:
    return {name: files_of(source) for name, source in sources(folder).items()}


def _check(name: str, files: Files) -> None:
    if set(files) != {FILE}:
        raise DeclarationError(f"journey {name}: it has one text, {FILE}, not {', '.join(sorted(files)) or 'none'}")
    parse(name, files[FILE], {})
    parse(name, files[FILE], overrides_from_environment())


async def _verify(name: str, files: Files, mesh: Mesh) -> None:
    """Refuse a journey one of whose templates is not in force here, where there are any, or a region there is not.

    One that is not active may name a region that was taken out of the mesh: it can be turned off at any time.
    """
    journey, known = parse(name, files[FILE], {}), await names_of(TEMPLATES, mesh)
    regions = sorted((mesh.region, *mesh.others))
    for region in journey.regions if journey.active else ():
        if region not in regions:
            near = get_close_matches(region, regions, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(regions)}"
            raise DeclarationError(f"journey {name}: regions: there is no region {region}; {hint}")
    for template in dict.fromkeys((journey.template, *journey.templates)) if known else ():
        if template not in known:
            field = "template" if template == journey.template else "steps: template"
            raise DeclarationError(f"journey {name}: {field}: {TEMPLATES.unknown(template, known)}")


JOURNEYS = Kind(
    name="journey",
    published=JourneyPublished,
    read=_read,
    read_folder=_read_folder,
    check=_check,
    verify=_verify,
)
