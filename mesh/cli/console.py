"""Command `cartmesh console invite`: access to a region's console from the command line."""

import asyncio
import sys
from pathlib import Path

from cyclopts import App

from mesh.errors import MeshError


def commands(app: App) -> None:
    """Add the group `console`."""
    group = App(name="console", help="Who may sign in to a region's console.")
    group.command(invite)
    app.command(group)


def invite(*, region: str, url: str, role: str = "admin", email: str = "", servers: Path | None = None) -> None:
    """Print a link that works once, for three days: a new account, or a new password for one that exists.

    Parameters
    ----------
    region
        Whose console.
    url
        The console's address, such as https://console.shop.example.
    role
        What the new account may do.
    email
        Of an account that exists and gets a new password; its sessions end when it is set.
    servers
        The servers.json of an embedded mesh; else `CARTMESH_NATS_URL_<REGION>` and
        `CARTMESH_NATS_PASSWORD_<REGION>` are read.
    """
    sys.stdout.write(f"{asyncio.run(_invite(region, url, role, email, servers))}\n")


async def _invite(region: str, url: str, role: str, email: str, servers: Path | None) -> str:
    from mesh.runtime.discovery import discover  # noqa: PLC0415  other commands need none of these
    from mesh.topology.access import Access  # noqa: PLC0415
    from mesh.topology.connect import connect  # noqa: PLC0415
    from mesh.topology.secrets import OPERATOR  # noqa: PLC0415
    from mesh.web.accounts import Accounts, email_identity  # noqa: PLC0415
    from mesh.web.invitations import Invitations, join_link  # noqa: PLC0415
    from mesh.web.roles import declared_roles  # noqa: PLC0415

    discover()  # services declare roles of their own
    known = [one.name for one in declared_roles()]
    if role not in known:
        raise MeshError(f"there is no role {role!r}; there are {', '.join(known)}")
    mesh = await connect(Access.find(servers), region, OPERATOR)
    try:
        if not email:
            return join_link(url, await Invitations(mesh).create(roles=(role,)))
        account = await Accounts(mesh).find(email_identity(email))
        if account is None:
            raise MeshError(f"{email} has no account in {region}; without --email the link creates one")
        return join_link(url, await Invitations(mesh).create(account_id=account.id))
    finally:
        await mesh.broker.drain()
