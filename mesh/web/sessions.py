"""Sessions: who is signed in, kept on the server so that they can be ended, and tokens with which scripts come."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec

from mesh.mesh import Mesh
from mesh.streams import Bucket
from mesh.web.accounts import Account, Accounts
from mesh.web.opaque import digest, new_token
from mesh.web.roles import includes

LONGEST = timedelta(days=30)
"""How long a session may last whatever the setting says; then the bucket forgets it."""
TOKEN_PREFIX = "cmt_"  # noqa: S105  what an API token begins with, so that scanners for secrets find it


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that lasts, or an API token: whose, since when, until when, and by what.

    `agent` is what a browser calls itself, or the name that a token was given.
    """

    account_id: str
    begun: datetime
    expires: datetime
    agent: str = ""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever a request comes from. `session` is the key of their session, `csrf` what their forms must carry.

    A script with an API token has no `csrf`: no browser sends its token by itself.
    """

    account: Account
    session: str
    csrf: str = ""

    def may(self, role: str) -> bool:
        """Whether they have a role."""
        return includes(self.account.roles, role)


SESSIONS: Bucket[Session] = Bucket("console-sessions", Session, ttl=LONGEST)
TOKENS: Bucket[Session] = Bucket("console-tokens", Session)


class Sessions:
    """The sessions and API tokens of a region. Only digests are kept: who reads the bucket cannot sign in with it."""

    def __init__(self, mesh: Mesh) -> None:
        self._sessions, self._tokens = mesh.state(SESSIONS), mesh.state(TOKENS)
        self._accounts = Accounts(mesh)

    async def begin(self, account_id: str, *, agent: str, lasting: timedelta) -> str:
        """Begin a session and return its token, which only the browser will know."""
        token, now = new_token(), datetime.now(UTC)
        session = Session(account_id=account_id, begun=now, expires=now + min(lasting, LONGEST), agent=agent[:200])
        await self._sessions.put(digest(token, "session"), session, revision=0)
        return token

    async def create_token(self, account_id: str, *, name: str, lasting: timedelta) -> str:
        """A new API token of an account; it has the account's roles and ends with it."""
        token, now = f"{TOKEN_PREFIX}{new_token()}", datetime.now(UTC)
        made = Session(account_id=account_id, begun=now, expires=now + lasting, agent=name[:200])
        await self._tokens.put(digest(token, "token"), made, revision=0)
        return token

    async def person(self, token: str) -> Person | None:
        """Whose session or API token it is; None where it has ended or its account was disabled."""
        is_token = token.startswith(TOKEN_PREFIX)
        key = digest(token, "token" if is_token else "session")
        found = await (self._tokens if is_token else self._sessions).get(key)
        if found is None or found.expires <= datetime.now(UTC):
            return None
        account = await self._accounts.get(found.account_id)
        if account is None or account.disabled:
            return None
        return Person(account=account, session=key, csrf="" if is_token else digest(token, "csrf"))

    async def of(self, account_id: str) -> list[tuple[str, Session]]:
        """An account's sessions by key, newest first."""
        return _of(account_id, [entry async for entry in self._sessions.items()])

    async def tokens_of(self, account_id: str) -> list[tuple[str, Session]]:
        """An account's API tokens by key, newest first."""
        return _of(account_id, [entry async for entry in self._tokens.items()])

    async def end(self, account_id: str, key: str) -> bool:
        """End a session or revoke an API token, if it is the account's; whether there was one."""
        for kept in (self._sessions, self._tokens):
            found = await kept.get(key)
            if found is not None and found.account_id == account_id:
                await kept.delete(key)
                return True
        return False

    async def end_all(self, account_id: str, *, but: str = "", tokens: bool = False) -> int:
        """End every session of an account, `but` one; with `tokens` revoke its API tokens too. Returns how many."""
        ended = [key for key, _ in await self.of(account_id) if key != but]
        revoked = [key for key, _ in await self.tokens_of(account_id)] if tokens else []
        await asyncio.gather(*(self._sessions.delete(key) for key in ended))
        await asyncio.gather(*(self._tokens.delete(key) for key in revoked))
        return len(ended) + len(revoked)


def _of(account_id: str, entries: list[tuple[str, Session]]) -> list[tuple[str, Session]]:
    now = datetime.now(UTC)
    own = [(key, one) for key, one in entries if one.account_id == account_id and one.expires > now]
    return sorted(own, key=lambda entry: entry[1].begun, reverse=True)
