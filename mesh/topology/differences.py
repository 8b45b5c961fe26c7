"""Differences between what is wanted and what a server has: what is reported of them, and how they are found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mesh.broker.durable import AS_WANTED, FILTERS
from mesh.errors import TopologyError
from mesh.topology.derive.nats import Config

Verb = Literal["create", "change", "delete", "keep", "wait", "refuse", "leave"]
_SIGNS: Mapping[str, str] = {
    "create": "+",
    "change": "~",
    "delete": "-",
    "keep": "!",
    "wait": "?",
    "refuse": "!",
    "leave": "!",
}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that is not as declared, and what was done about it (`keep`, `refuse`, `leave`: nothing)."""

    region: str
    verb: Verb
    what: str
    detail: str = ""

    def __str__(self) -> str:
        """As a line of a diff."""
        verb = {"keep": "would delete ", "wait": "waits: ", "refuse": "refuses ", "leave": "leaves as it is: "}.get(
            self.verb, f"{self.verb} "
        )
        return f"{_SIGNS[self.verb]} {self.region}: {verb}{self.what}{f' ({self.detail})' if self.detail else ''}"


def changes(wanted: Config, live: Config | None, *, ignore: Iterable[str] = ()) -> list[str]:
    """The names of settings that differ; what the server leaves out is empty, 0 or off.

    Filters that a service may narrow (`Binding.as_wanted`) are its own concern.
    """
    filters = {"filter_subject", "filter_subjects"}
    names = [
        name
        for name, value in wanted.items()
        if live and name not in {*ignore, *filters} and not _same(value, live.get(name))
    ]
    if live and filters & {*wanted, *live} and filters_of(wanted) != filters_of(live) and not are_as_wanted(wanted):
        names.append("filters")
    return names


def _same(wanted: Any, live: Any) -> bool:
    if isinstance(wanted, list) and isinstance(live, list) and any(isinstance(one, dict) for one in (*wanted, *live)):
        by_name = {entry["name"]: entry for entry in live}
        return by_name.keys() == {entry["name"] for entry in wanted} and all(
            not changes(entry, by_name[entry["name"]]) for entry in wanted
        )
    if isinstance(wanted, dict) and isinstance(live, dict):
        return not changes(wanted, live)
    if isinstance(wanted, list) and isinstance(live, list):
        return sorted(wanted) == sorted(live)
    return bool(wanted == live or (not wanted and not live))


def filters_of(config: Config) -> set[str]:
    """What a consumer delivers."""
    one = config.get("filter_subject")
    return {one} if one else set(config.get("filter_subjects") or ())


def are_as_wanted(config: Mapping[str, Any]) -> bool:
    """Whether a consumer's service may narrow its filters while it runs."""
    return (config.get("metadata") or {}).get(FILTERS) == AS_WANTED


def verify(region: str, wanted: Config, got: Config) -> None:
    """An old server ignores what it does not know: then timers would be stored and never fire."""
    for flag in ("allow_atomic", "allow_msg_schedules", "allow_msg_ttl", "allow_direct"):
        if wanted.get(flag) and not got.get(flag):
            raise TopologyError(
                f"{region}: the server ignored {flag} of stream {wanted['name']}: "
                "it is too old, Cartmesh needs nats-server 2.14"
            )
