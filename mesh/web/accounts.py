"""Accounts: the people who may sign in to a region's console, in a bucket of that region."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from secrets import token_hex

import msgspec

from mesh.errors import Conflict
from mesh.mesh import Mesh
from mesh.streams import Bucket
from mesh.web.opaque import digest


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may sign in. `password` is its Argon2 hash; empty: by an identity provider alone."""

    id: str
    email: str
    name: str
    roles: tuple[str, ...]
    created: datetime
    password: str = ""
    disabled: bool = False


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Whose an e-mail address, or a provider's subject, is."""

    account_id: str


ACCOUNTS: Bucket[Account] = Bucket("console-accounts", Account)
IDENTITIES: Bucket[Identity] = Bucket("console-identities", Identity)
_is_key = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII).fullmatch


class Accounts:
    """The accounts of a region. Each address and each provider's subject belongs to one account at most."""

    def __init__(self, mesh: Mesh) -> None:
        self._accounts, self._identities = mesh.state(ACCOUNTS), mesh.state(IDENTITIES)

    async def get(self, account_id: str) -> Account | None:
        """An account, or None."""
        return await self._accounts.get(account_id)

    async def names(self, account_ids: Iterable[str]) -> dict[str, str]:
        """The names of those ids that are accounts', by one request, as any service with pages may read them."""
        wanted = {one for one in account_ids if _is_key(one)}
        found = await self._accounts.entries(wanted) if wanted else {}
        return {id_: account.name for id_, (account, _) in found.items() if account}

    async def all(self) -> list[Account]:
        """Every account, oldest first. Only the console's own service may list them."""
        return sorted([account async for _, account in self._accounts.items()], key=lambda one: one.created)

    async def any(self) -> bool:
        """Whether there is one."""
        async for _ in self._accounts.items():
            return True
        return False

    async def find(self, identity: str) -> Account | None:
        """The account of an identity; see `email_identity` and `provider_identity`."""
        found = await self._identities.get(identity)
        return await self._accounts.get(found.account_id) if found else None

    async def create(
        self, *, email: str, name: str, roles: tuple[str, ...], password: str = "", identity: str = ""
    ) -> Account:
        """A new account. Raises Conflict where its address, or the further `identity`, is somebody's already."""
        account = Account(
            id=f"a{token_hex(8)}",
            email=email,
            name=name,
            roles=roles,
            created=datetime.now(UTC),
            password=password,
        )
        # The account comes first: an identity never points at nothing, and an account without one cannot sign in.
        await self._accounts.put(account.id, account, revision=0)
        try:
            await self.link(account.id, email_identity(email))
            if identity:
                await self.link(account.id, identity)
        except Conflict:
            await self._accounts.delete(account.id)
            raise
        return account

    async def link(self, account_id: str, identity: str) -> None:
        """Let an account sign in by an identity. Raises Conflict where it is another account's."""
        taken = await self._identities.get(identity)
        if taken is not None and await self._accounts.get(taken.account_id) is None:
            await self._identities.delete(identity)  # left behind by a process that was killed while it created one
        elif taken is not None and taken.account_id == account_id:
            return
        await self._identities.put(identity, Identity(account_id=account_id), revision=0)

    async def change(self, account_id: str, changed: Callable[[Account], Account]) -> Account | None:
        """Change an account, whoever else does at the same time; None where there is none."""

        def change_known(account: Account | None) -> Account:
            if account is None:
                raise LookupError(account_id)
            return changed(account)

        try:
            return (await self._accounts.update(account_id, change_known)).after
        except LookupError:
            return None


def email_identity(email: str) -> str:
    """The identity of an e-mail address, whatever its capitals."""
    return digest(email.strip().casefold(), "email")


def provider_identity(issuer: str, subject: str) -> str:
    """The identity of an OpenID provider's subject, which unlike an address never becomes somebody else's."""
    return digest(f"{issuer} {subject}", "oidc")
