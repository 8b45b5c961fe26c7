"""Commands that make what a deployment must be given: `cartmesh mesh certs`, `cartmesh mesh secrets`."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from mesh.topology.mesh_toml import Topology


def commands(group: App) -> None:
    """Add them to the group `mesh`."""
    group.command(certs)
    group.command(secrets)


def certs(*, dir: Path, days: int = 90, file: Path = Path("mesh.toml")) -> None:
    """Make a test authority, and certificates for every region's servers and for a client.

    Parameters
    ----------
    dir
        Where to: ca.crt, and a folder for each region and `client` with ca.crt, tls.crt and tls.key. The authority
        that is there is kept; the certificates are made again.
    days
        How long they are valid.
    file
        The topology.
    """
    from mesh.topology.certificates import certificates  # noqa: PLC0415  needs cryptography; only this command does

    for name, made in certificates(Topology.load(file), dir, lasting=timedelta(days=days)).items():
        print(f"{name}: {made.certificate}, {days} days")


def secrets(
    *,
    dir: Path,
    renew: Annotated[bool, Parameter(negative=())] = False,
    switch: Annotated[bool, Parameter(negative=())] = False,
    file: Path = Path("mesh.toml"),
) -> None:
    """Make two passwords for every user of every region, and the secret settings; those that are there are kept.

    One password of each is used. To change them: `--renew`, then restart the servers; `--switch`, then restart the
    clients; `--renew` again, then restart the servers, which forget the old ones.

    Parameters
    ----------
    dir
        Where to, readable for its owner alone: <region>.env for `kubectl create secret generic --from-env-file`,
        <region>-servers.env and <region>-services.env for processes.
    renew
        New passwords for the logins that nobody uses.
    switch
        Use the other logins: in the chart `secrets.login`, `mesh render --login`.
    file
        The topology.
    """
    from mesh.runtime.discovery import discover  # noqa: PLC0415
    from mesh.topology.derive.environments import environments  # noqa: PLC0415  with all services
    from mesh.topology.derive.servers import users  # noqa: PLC0415
    from mesh.topology.secrets import Secrets, secret_settings  # noqa: PLC0415

    topology, services = Topology.load(file), discover()
    dir.mkdir(parents=True, exist_ok=True)
    settings = [*secret_settings(services), *topology.servers.keys(topology.names)]
    kept = Secrets.kept(dir / "secrets.json", users(topology, services), settings=settings)
    kept = kept.renewed() if renew else kept
    kept = kept.switched() if switch else kept
    kept.keep(dir / "secrets.json")
    made = environments(topology, services, kept)
    for name, variables in made.items():
        path = dir / f"{name}.env"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
            opened.writelines(f"{variable}={value}\n" for variable, value in variables.items())
    # Only then: whoever reads no further, as `head` does, ends the command, and a link's two ends would differ.
    print(f"{'second' if kept.used else 'first'} logins are used: secrets.login is {kept.used[1:]!r}")
    for name, variables in made.items():
        print(f"{dir / f'{name}.env'}: {len(variables)} secrets")
