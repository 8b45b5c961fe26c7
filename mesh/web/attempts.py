"""Attempts: sign-ins that failed lately, per account and per client address, counted for all processes of a region."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec

from mesh.errors import Conflict
from mesh.mesh import Mesh
from mesh.streams import Bucket
from mesh.web.opaque import digest

WINDOW = timedelta(minutes=15)
PER_ACCOUNT, PER_ADDRESS = 8, 30
"""How many failures there may be within `WINDOW`. An address may stand for a whole office."""


class Failures(msgspec.Struct, frozen=True, kw_only=True):
    """When sign-ins of one account, or from one address, failed."""

    at: tuple[datetime, ...]


FAILURES: Bucket[Failures] = Bucket("console-sign-in-failures", Failures, ttl=WINDOW)


class Attempts:
    """Counts failures; an attempt is counted before its password is looked at, so that many at once count too."""

    def __init__(self, mesh: Mesh) -> None:
        self._failures = mesh.state(FAILURES)

    async def begin(self, email: str | None, address: str) -> timedelta | None:
        """Count an attempt; how long to wait, where there were too many, or None.

        `email` is None where the attempt names no account, as by an identity provider.
        """
        keys = _keys(email, address)
        waits = await asyncio.gather(*(self._count(key, most) for key, most in keys))
        return max((wait for wait in waits if wait), default=None)

    async def succeeded(self, email: str | None, address: str) -> None:
        """Forget the account's failures, and this attempt of the address."""
        (client, _), *accounts = _keys(email, address)
        for account, _ in accounts:
            await self._failures.delete(account)
        found, revision = await self._failures.entry(client)
        if found is not None and found.at:
            try:
                await self._failures.put(client, Failures(at=found.at[:-1]), revision=revision)
            except Conflict:
                return  # others of that address try meanwhile: it counts as one more failure until the window ends

    async def _count(self, key: str, most: int) -> timedelta | None:
        now = datetime.now(UTC)

        def counted(found: Failures | None) -> Failures:
            lately = tuple(at for at in found.at if at > now - WINDOW) if found else ()
            return found if found and len(lately) >= most else Failures(at=(*lately, now))

        made = await self._failures.update(key, counted)
        return made.after.at[-most] + WINDOW - now if made.after == made.before else None


def _keys(email: str | None, address: str) -> list[tuple[str, int]]:
    keys = [(digest(address, "failures-address"), PER_ADDRESS)]
    if email is not None:
        keys.append((digest(email.strip().casefold(), "failures-account"), PER_ACCOUNT))
    return keys
