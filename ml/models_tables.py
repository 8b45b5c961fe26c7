"""Tables of the models: what `cartmesh models` prints in a terminal."""

from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from ml.audit import Audited
from ml.live import Comparison
from ml.review import Measured
from ml.version import Current, Metrics, Version


class Shelved(msgspec.Struct, frozen=True, kw_only=True):
    """A model's versions in a region, oldest first, and how it stands."""

    region: str
    model: str
    current: Current
    versions: tuple[Version, ...]


class Portrayed(msgspec.Struct, frozen=True, kw_only=True):
    """One version in a region, how its model stands, and the newest measurement of drift."""

    region: str
    current: Current
    version: Version
    drift: Measured | None


def role(current: Current, version: str) -> str:
    """`serves`, `shadow`, `canary 10 %`, `served before` or nothing."""
    if version == current.version:
        return "serves"
    tried = current.candidate
    if tried is not None and tried.version == version:
        return f"canary {tried.share:.0%}" if tried.stage == "canary" else "shadow"
    return "served before" if version == current.previous else ""


def show_shelf(found: Sequence[Shelved], console: Console | None = None) -> None:
    """Versions, newest last."""
    out = console or Console()
    if not any(shelved.versions for shelved in found):
        out.print("no versions: `cartmesh train --from-mesh` makes one", markup=False)
        return
    table = Table("region", "model", "version", "role", "trained by", "rows", "AUC", "Brier", "ECE", "gate")
    for shelved in found:
        for version in shelved.versions:
            table.add_row(
                shelved.region,
                shelved.model,
                version.version,
                role(shelved.current, version.version),
                version.trained_by,
                f"{version.rows:,}",
                *_figures(version.metrics),
                "passed" if version.accepted else "not passed",
            )
    out.print(table)


def show_version(found: Sequence[Portrayed], console: Console | None = None) -> None:
    """Everything that is known of a version, a line each."""
    out = console or Console()
    for one in found:
        version, begin, end = one.version, *one.version.window
        lines = {
            "region": one.region,
            "version": f"{version.name} {version.version} {role(one.current, version.version)}".rstrip(),
            "trained": f"{version.trained_at:%Y-%m-%d %H:%M} UTC by {version.trained_by or 'somebody'}",
            "data": f"{version.rows:,} rows, {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}, hash {version.data_hash}",
            "horizon": f"{version.horizon_seconds / 3600:g} h",
            "gate": ("passed: " if version.accepted else "not passed: ") + version.gate,
            "features": f"{len(version.features)}: {', '.join(version.features)}",
            **{name: f"{value:.4f}" for name, value in version.figures.items()},
        }
        for name, metrics in (("all", version.metrics), ("with a cart", version.carts)):
            if metrics is not None:
                auc, brier, ece = _figures(metrics)
                lines[name] = f"AUC {auc}, Brier {brier}, ECE {ece} on {metrics.rows:,} rows"
        if one.drift is not None:
            lines["drift"] = f"{one.drift.at:%Y-%m-%d %H:%M} of {one.drift.version}: {one.drift.drift.words}"
        else:
            lines["drift"] = "not measured yet: it is measured by the daily review"
        for name, text in lines.items():
            out.print(f"{name:<12} {text}", markup=False, highlight=False)


def show_comparison(found: Sequence[Comparison], console: Console | None = None) -> None:
    """Both models on the same live carts."""
    out = console or Console()
    for one in found:
        title = f"{one.model}: {one.scored:,} carts scored by both, {one.known:,} with a known outcome"
        table = Table("carts", "model", "carts counted", "AUC", "Brier", "ECE", title=title)
        for carts, champion, candidate in (
            ("all", one.champion_metrics, one.candidate_metrics),
            ("without an offer", one.champion_unaided, one.candidate_unaided),
        ):
            for name, metrics in ((f"{one.champion} serves", champion), (f"{one.candidate} {one.stage}", candidate)):
                table.add_row(carts, name, f"{metrics.rows:,}" if metrics else "0", *_figures(metrics))
        out.print(table)


def show_audit(found: Sequence[Audited], console: Console | None = None) -> None:
    """What an audit proved, and each difference with its cause."""
    out = console or Console()
    for one in found:
        for line in one.lines():
            out.print(line, markup=False, highlight=False)


def _figures(metrics: Metrics | None) -> tuple[str, str, str]:
    if metrics is None:
        return "-", "-", "-"
    return "-" if metrics.auc is None else f"{metrics.auc:.3f}", f"{metrics.brier:.4f}", f"{metrics.ece:.3f}"
