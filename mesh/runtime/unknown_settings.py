"""Unknown settings: `CARTMESH_...` variables that nothing reads, most often a typing error."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points

from mesh.runtime.discovery import GROUP
from mesh.topology.derive.variables import settings_of

PREFIX = "CARTMESH_"


def unknown_settings(environment: Mapping[str, str], services: Iterable[str]) -> Iterator[str]:
    """A sentence for each variable that no installed package reads, with the nearest name that is read.

    Reads the source of all packages, which takes a second, but only where there is any such variable. `services` are
    the names of all services: each has a variable for its password.
    """
    given = sorted(name for name in environment if name.startswith(PREFIX))
    if not given:
        return
    names = {f"{PREFIX}{setting.name.upper()}" for setting in settings_of(_packages())}
    names |= {f"{PREFIX}{service.upper().replace('-', '_')}_PASSWORD" for service in services}
    families = tuple(name for name in names if name.endswith("_"))
    for name in given:
        if name not in names and not name.startswith(families):
            near = get_close_matches(name, names, n=1, cutoff=0.75)
            yield f"{name} is set, and nothing reads it" + (f"; did you mean {near[0]}?" if near else "")


def _packages() -> set[str]:
    return {"mesh", *(found.value for found in entry_points(group=GROUP))}
