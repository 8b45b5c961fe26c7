"""Tables of the models: what `cartmesh models` prints in a terminal."""

from collections.abc import Sequence

import msgspec

from ml.features.formatting import span
from ml.lifecycle.audit import AuditReport
from ml.lifecycle.click_report import ClickReport, Rate
from ml.lifecycle.live_outcomes import Comparison
from ml.lifecycle.review import Measured
from ml.lifecycle.version import Current, Metrics, Version


class ModelVersions(msgspec.Struct, frozen=True, kw_only=True):
    """A model's versions in a region, oldest first, and how it stands."""

    region: str
    model: str
    current: Current
    versions: tuple[Version, ...]


class VersionDetails(msgspec.Struct, frozen=True, kw_only=True):
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


def show_versions(found: Sequence[ModelVersions]) -> None:
    """Versions, newest last."""
    if not any(model.versions for model in found):
        print("no versions: `cartmesh train --from-mesh` makes one")
        return
    rows = [("region", "model", "version", "role", "rows", "AUC", "Brier", "ECE", "gate")]
    rows += [
        (
            model.region,
            model.model,
            version.version,
            role(model.current, version.version) or "-",
            f"{version.rows:,}",
            *_figures(version.metrics),
            "passed" if version.accepted else "not passed",
        )
        for model in found
        for version in model.versions
    ]
    _print_columns(rows)


def show_version(found: Sequence[VersionDetails]) -> None:
    """Everything that is known of a version, a line each."""
    for one in found:
        version, begin, end = one.version, *one.version.window
        lines = {
            "region": one.region,
            "version": f"{version.name} {version.version} {role(one.current, version.version)}".rstrip(),
            "trained": f"{version.trained_at:%Y-%m-%d %H:%M} UTC by {version.trained_by or 'somebody'}",
            "data": f"{version.rows:,} rows, {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}, hash {version.data_hash}",
            "horizon": span(version.horizon_seconds),
            "gate": ("passed: " if version.accepted else "not passed: ") + version.gate,
            "features": f"{len(version.features)}: {', '.join(version.features)}",
            **{name: f"{value:.4f}" for name, value in version.figures.items()},
        }
        for name, metrics in (("all", version.metrics), ("with a cart", version.carts)):
            if metrics is not None:
                auc, brier, ece = _figures(metrics)
                lines[name] = f"AUC {auc}, Brier {brier}, ECE {ece} on {metrics.rows:,} rows"
        if one.drift is not None:
            lines["drift"] = f"{one.drift.at:%Y-%m-%d %H:%M} of {one.drift.version}: {one.drift.drift.description}"
        else:
            lines["drift"] = "not measured yet: it is measured by the daily review"
        for name, text in lines.items():
            print(f"{name:<12} {text}")


def show_comparison(found: Sequence[Comparison]) -> None:
    """Both models on the same live carts."""
    for one in found:
        print(f"{one.model}: {one.scored:,} carts scored by both, {one.known:,} with a known outcome")
        rows = [("carts", "version", "role", "counted", "AUC", "Brier", "ECE")]
        for carts, champion, candidate in (
            ("all", one.champion_metrics, one.candidate_metrics),
            ("without an offer", one.champion_unaided, one.candidate_unaided),
        ):
            for version, role_, metrics in (
                (one.champion, "serves", champion),
                (one.candidate, one.stage, candidate),
            ):
                rows.append((carts, version, role_, f"{metrics.rows:,}" if metrics else "0", *_figures(metrics)))
        _print_columns(rows)


def show_audit(found: Sequence[AuditReport]) -> None:
    """What an audit proved, and each difference with its cause."""
    for one in found:
        for line in one.lines():
            print(line)


def show_clicks(found: Sequence[ClickReport]) -> None:
    """What was shown, clicked and ordered, by place and model version and by journey and channel."""
    for one in found:
        print(f"{one.region}: recommendations")
        rows = [("place", "version", "lists shown", "clicked", "click rate", "95 %", "ordered after")]
        rows += [
            (
                each.place,
                each.version or "-",
                f"{each.shown:,}",
                f"{each.clicked:,}",
                *_rate(each.rate),
                str(each.orders),
            )
            for each in one.lists
        ]
        _print_columns(rows)
        print(f"{one.region}: offers")
        rows = [("journey", "channel", "sent", "seen", "clicked", "click rate", "95 %", "ordered after")]
        rows += [
            (
                each.journey or "-",
                each.channel,
                f"{each.sent:,}",
                "-" if each.seen is None else f"{each.seen:,}",
                f"{each.clicked:,}",
                *_rate(each.rate),
                str(each.orders),
            )
            for each in one.offers
        ]
        _print_columns(rows)
        if one.effect is None:
            print("what offers change is not known: too few were given and withheld by chance (`explore`, `holdout`)")
        else:
            effect, around = one.effect, 1.96 * one.effect.error
            print(
                f"of {effect.given:,} given an offer by chance {effect.reached:.0%} were reached, {effect.withheld:,} "
                f"got none: {effect.of_given:+.1%} bought; of those who were reached {effect.of_reached:+.1%} "
                f"(95 %: {effect.of_reached - around:+.1%} to {effect.of_reached + around:+.1%})"
            )


def _rate(rate: Rate) -> tuple[str, str]:
    return f"{rate.share:.1%}", f"{rate.low:.1%} to {rate.high:.1%}"


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _figures(metrics: Metrics | None) -> tuple[str, str, str]:
    if metrics is None:
        return "-", "-", "-"
    return "-" if metrics.auc is None else f"{metrics.auc:.3f}", f"{metrics.brier:.4f}", f"{metrics.ece:.3f}"
