"""The command `cartmesh train`."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from mesh.shop_logs.style import Style
from mesh.topology.access import SERVERS


def commands(app: App) -> None:
    """Add them to the root command."""
    from ml.lifecycle import commands as models  # noqa: PLC0415  saves start-up time

    app.command(train)
    models.commands(app)


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What to learn from, and what becomes of the model.

    Parameters
    ----------
    from_mesh
        Learn from what the regions' streams hold.
    from_file
        Learn from a shop's log, Parquet or text: event_time, event_type, product_id, price, user_id, user_session.
    region
        Only this region's log and registry; all of them when not given.
    servers
        The servers.json of the mesh. Without one a model from a file is judged and not registered.
    horizon
        How soon a purchase counts (24h); never more than an eighth of the log by default.
    idle
        When a cart counts as left in a file's log.
    json
        Write the outcome there.
    promote
        Let it serve at once if it passes.
    shadow
        Only ever try it in shadow.
    dry_run
        Judge, but change nothing.
    style
        How the file writes dates and prices.
    """

    from_mesh: Annotated[bool, Parameter(negative=())] = False
    from_file: Annotated[Path | None, Parameter(name="--from")] = None
    region: str | None = None
    servers: Path | None = None
    horizon: str | None = None
    idle: str = "30m"
    json: Path | None = None
    promote: Annotated[bool, Parameter(negative=())] = False
    shadow: Annotated[bool, Parameter(negative=())] = False
    dry_run: Annotated[bool, Parameter(negative=())] = False
    style: Annotated[Style, Parameter(name="*")] = field(default_factory=Style)


def train(  # noqa: D417  the options are described where they are
    model: str = "propensity",
    *,
    options: Annotated[TrainOptions, Parameter(name="*")] = TrainOptions(),
) -> None:
    """Learn a model from a log and judge it on the newest sessions.

    One that passes the gate serves at once where nothing does; else it is tried in shadow beside what serves,
    and `cartmesh models` has the rest. Ends with 0 also when it did not pass; says why either way.

    Parameters
    ----------
    model
        What to learn: propensity (who buys), uplift (whom an offer changes), recommendations (how sources weigh),
        fraud (which orders are).
    """
    import asyncio  # noqa: PLC0415  what is heavy is imported by who trains
    import os  # noqa: PLC0415  saves start-up time

    from mesh.errors import DeclarationError  # noqa: PLC0415  saves start-up time
    from mesh.settings import duration  # noqa: PLC0415  saves start-up time

    if options.promote and options.shadow:
        raise DeclarationError("either --promote or --shadow: a model that serves is no shadow")
    if options.from_mesh == (options.from_file is not None):
        raise DeclarationError("say where to learn from: either --from-mesh or --from FILE.parquet")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from ml.training.dataset import UnreadableLog  # noqa: PLC0415  saves start-up time
    from ml.training.run import TrainingRun, run  # noqa: PLC0415  saves start-up time

    try:
        wanted = TrainingRun(
            name=model,
            how="promote" if options.promote else "shadow" if options.shadow else "usual",
            file=options.from_file,
            region=options.region,
            servers=options.servers or (SERVERS if SERVERS.exists() else None),
            horizon=duration(options.horizon) if options.horizon else None,
            idle=duration(options.idle),
            register=not options.dry_run,
            style=options.style,
        )
        result = asyncio.run(run(wanted))
    except (UnreadableLog, ValueError) as error:
        sys.stderr.write(f"cartmesh: {error}\n")
        sys.exit(1)
    for line in result.lines():
        print(line)
    if options.json:
        options.json.write_bytes(result.encoded())
