"""Invitations: links that work once, with which an account is created or gets a new password."""

from datetime import UTC, datetime, timedelta

import msgspec

from mesh.errors import Conflict
from mesh.mesh import Mesh
from mesh.streams import Bucket
from mesh.web.accounts import Accounts
from mesh.web.opaque import digest, new_token
from mesh.web.roles import ADMIN

LASTING = timedelta(days=3)


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """What a link is good for: a new account with these roles, or a new password for `account_id`.

    `first` is good only while there is no account at all.
    """

    expires: datetime
    roles: tuple[str, ...] = ()
    account_id: str = ""
    invited_by: str = ""
    first: bool = False
    used: bool = False


INVITATIONS: Bucket[Invitation] = Bucket("console-invitations", Invitation, ttl=LASTING)


class Invitations:
    """The invitations of a region; only the digests of their tokens are kept."""

    def __init__(self, mesh: Mesh) -> None:
        self._invitations, self._accounts = mesh.state(INVITATIONS), Accounts(mesh)

    async def create(
        self, *, roles: tuple[str, ...] = (), account_id: str = "", invited_by: str = "", first: bool = False
    ) -> str:
        """A new invitation's token."""
        token = new_token()
        made = Invitation(
            expires=datetime.now(UTC) + LASTING, roles=roles, account_id=account_id, invited_by=invited_by, first=first
        )
        await self._invitations.put(digest(token, "invitation"), made, revision=0)
        return token

    async def get(self, token: str) -> Invitation | None:
        """What a link is good for; None where it was used, is too old, or was never given."""
        found, _ = await self._entry(token)
        return found

    async def use(self, token: str) -> Invitation | None:
        """Use it up: of several requests at once, one gets it and the others None."""
        found, revision = await self._entry(token)
        if found is None:
            return None
        try:
            spent = msgspec.structs.replace(found, used=True)
            await self._invitations.put(digest(token, "invitation"), spent, revision=revision)
        except Conflict:
            return None
        return found

    async def _entry(self, token: str) -> tuple[Invitation | None, int]:
        found, revision = await self._invitations.entry(digest(token, "invitation"))
        if found is None or found.used or found.expires <= datetime.now(UTC):
            return None, 0
        if found.first and await self._accounts.any():
            return None, 0
        return found, revision


async def first_link(mesh: Mesh, console: str) -> str | None:
    """A link with which a region's first administrator is created; None while the region has an account.

    `console` is the console's address.
    """
    if await Accounts(mesh).any():
        return None
    token = await Invitations(mesh).create(roles=(ADMIN.name,), first=True)
    return join_link(console, token)


def join_link(console: str, token: str) -> str:
    """An invitation as a link."""
    return f"{console.rstrip('/')}/console/join/{token}"
