"""Connection: one NATS user's connection, with pipelined requests and the server's errors made ours."""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoServersError

from mesh.broker.server_version import other_version
from mesh.broker.tls import Trust
from mesh.errors import Denied, MeshError, TopologyError, Unavailable
from mesh.observability.logs import log
from mesh.settings import read

ASKED_AGAIN = 1
"""How often each server that does not answer is asked again before a connection fails."""
REPLY_TIMEOUT = 5.0
_ATTEMPTS, _PAUSE = 3, 0.25
_SWEEP = 0.25
_DENIED = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"', re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Login:
    """Where and as whom to connect: `servers` are `nats://host:port`, any node of one region."""

    region: str
    servers: tuple[str, ...]
    user: str | None = None
    password: str | None = None
    inbox_prefix: str = "_INBOX"


class _Pending(msgspec.Struct, gc=False):
    subject: str
    future: "asyncio.Future[Msg] | None"
    parts: "asyncio.Queue[Msg | MeshError] | None"


class Connection:
    """A connected client. `request` pipelines: any number of requests share one inbox and wait side by side.

    Core NATS gives a request whose permission is missing no answer but an asynchronous error;
    here it becomes Denied, naming user and subject.
    """

    def __init__(self, client: Client, login: Login) -> None:
        self.client, self.login = client, login
        self.on_reconnect: list[Callable[[], None]] = []
        self.drained = asyncio.Event()
        self._inbox = f"{login.inbox_prefix}.{token_hex(6)}"
        self._pending: dict[str, _Pending] = {}
        self._deadlines: deque[tuple[float, str]] = deque()
        self._count = 0
        self._sweeper: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, login: Login, *, name: str = "cartmesh") -> "Connection":
        """Connect to a region, trusting the authorities that the environment names.

        A server may end a connection that is being opened: it shuts down, or is too busy to shake hands in time. Then
        any server is asked again. Unavailable when no node answers, Denied when the password is wrong.
        """
        for left in reversed(range(_ATTEMPTS)):
            connection = cls(Client(), login)
            try:
                await connection._connect(name)
                break
            except (Error, OSError, TimeoutError) as error:
                if "authorization" in str(error).lower():
                    raise Denied(
                        f"{login.region}: user {login.user!r} or its password is not known to {login.servers}"
                    ) from error
                if not left or isinstance(error, NoServersError):
                    raise Unavailable(
                        f"{login.region}: none of {', '.join(login.servers)} answers: {error or type(error).__name__}"
                    ) from error
                await asyncio.sleep(_PAUSE)
        connection.client.options.update(allow_reconnect=True, max_reconnect_attempts=-1)
        await connection.client.subscribe(f"{connection._inbox}.*", cb=connection._answered)
        connection._sweeper = asyncio.create_task(connection._expire())
        found = connection.client.connected_server_version
        if warning := other_version(f"{found.major}.{found.minor}.{found.patch}"):
            log.warning("server version", region=login.region, user=login.user, warning=warning)
        return connection

    async def _connect(self, name: str) -> None:
        login = self.login
        # nats-py looks at every character of every header name: half of the time of a read-heavy service.
        self.client._parse_header_lines = _parse_headers  # type: ignore  # noqa: SLF001, PGH003  no other way in
        # With allow_reconnect a wrong password is retried for ever: only switch it on once we are in. Without a
        # limit a mesh whose every server refuses is asked for ever.
        await self.client.connect(
            servers=list(login.servers),
            user=login.user,
            password=login.password,
            name=name,
            inbox_prefix=login.inbox_prefix.encode(),
            tls=read(Trust).context(),
            # nats-py would send the password in the clear to whoever answers and does not ask for TLS.
            tls_handshake_first=any(server.startswith("tls://") for server in login.servers),
            allow_reconnect=False,
            max_reconnect_attempts=ASKED_AGAIN,
            reconnect_time_wait=0.25,  # type: ignore[arg-type]  # seconds, only slept
            ping_interval=10,
            max_outstanding_pings=2,
            connect_timeout=3,
            drain_timeout=10,
            pending_size=32 * 1024 * 1024,
            error_cb=self._failed,
            disconnected_cb=self._renew_trust,
            reconnected_cb=self._reconnected,
        )

    async def request(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None, *, wait: float = REPLY_TIMEOUT
    ) -> Msg:
        """Publish and wait for the one answer. Unavailable when none comes, Denied when it was forbidden."""
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        token = self._expect(subject, future, None, wait)
        try:
            await self.publish(subject, body, headers, reply=f"{self._inbox}.{token}")
            return await future
        finally:
            self._pending.pop(token, None)

    async def receives(self, subject: str, *, within: float) -> bool:
        """Whether a message arrives on a subject within so many seconds; its content is ignored."""
        received = asyncio.Event()

        async def take(_: Msg) -> None:
            received.set()

        listening = await self.client.subscribe(subject, cb=take)
        try:
            await asyncio.wait_for(received.wait(), within)
        except TimeoutError:
            return False
        else:
            return True
        finally:
            await listening.unsubscribe()

    async def request_each(
        self, asked: Sequence[tuple[str, bytes, dict[str, str]]], *, wait: float = REPLY_TIMEOUT
    ) -> list[Msg | MeshError]:
        """Many requests without a task for each: every answer, or the error `request` would have raised."""
        loop, waiting = asyncio.get_running_loop(), list[tuple[str, asyncio.Future[Msg]]]()
        try:
            for subject, body, headers in asked:
                future: asyncio.Future[Msg] = loop.create_future()
                token = self._expect(subject, future, None, wait)
                waiting.append((token, future))
                try:
                    await self.publish(subject, body, headers, reply=f"{self._inbox}.{token}")
                except Unavailable as error:
                    future.set_exception(error)
            answers: list[Msg | MeshError] = []
            for _, future in waiting:
                try:
                    answers.append(await future)
                except MeshError as error:
                    answers.append(error)
            return answers
        finally:
            for token, _ in waiting:
                self._pending.pop(token, None)

    async def stream(
        self, subject: str, body: bytes, take: Callable[[Msg], bool], *, wait: float = REPLY_TIMEOUT
    ) -> None:
        """Publish and give every answer to `take` until it returns False."""
        parts: asyncio.Queue[Msg | MeshError] = asyncio.Queue()
        token = self._expect(subject, None, parts, wait)
        try:
            await self.publish(subject, body, reply=f"{self._inbox}.{token}")
            while True:
                part = await parts.get()
                if isinstance(part, MeshError):
                    raise part
                if not take(part):
                    return
        finally:
            self._pending.pop(token, None)

    async def publish(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None, *, reply: str = ""
    ) -> None:
        """Publish without waiting for anything. Unavailable when the connection is closed or its buffer full."""
        try:
            await self.client.publish(subject, body, reply=reply, headers=headers)
        except (Error, OSError) as error:
            raise Unavailable(
                f"{self.login.region}: cannot publish {subject}: {error or type(error).__name__}"
            ) from error

    async def settled(self) -> None:
        """Return once the server knows of everything that was sent, subscriptions among them.

        nats-py's flush writes its PING ahead of what is buffered: the first pushes the buffer out behind it,
        the second comes behind the buffer.
        """
        await self.client.flush()
        await self.client.flush()

    async def drain(self) -> None:
        """Send what is buffered, let callbacks finish, close. Never raises."""
        if self._sweeper:
            self._sweeper.cancel()
        try:
            await asyncio.wait_for(self.client.drain(), 12)
        except (Error, OSError, TimeoutError):
            await self.client.close()
        self.drained.set()

    def _expect(
        self,
        subject: str,
        future: "asyncio.Future[Msg] | None",
        parts: "asyncio.Queue[Msg | MeshError] | None",
        wait: float,
    ) -> str:
        self._count += 1
        token = f"{self._count:x}"
        self._pending[token] = _Pending(subject, future, parts)
        self._deadlines.append((asyncio.get_running_loop().time() + wait, token))
        return token

    async def _answered(self, message: Msg) -> None:
        pending = self._pending.get(message.subject.rpartition(".")[2])
        if pending is None:
            return
        if pending.parts is not None:
            pending.parts.put_nowait(message)
        elif pending.future is not None and not pending.future.done():
            pending.future.set_result(message)

    def _fail(self, pending: _Pending, error: MeshError) -> None:
        if pending.parts is not None:
            pending.parts.put_nowait(error)
        elif pending.future is not None and not pending.future.done():
            pending.future.set_exception(error)

    async def _expire(self) -> None:
        """Fail what was not answered in time: one sweep for all, instead of a timer each."""
        clock = asyncio.get_running_loop().time
        while True:
            slept = clock()
            await asyncio.sleep(_SWEEP)
            now, later = clock(), []
            # While the loop was blocked (a heavy import, a starved machine) answers came and could not be read.
            blocked = max(0.0, now - slept - 2 * _SWEEP)
            while self._deadlines:
                deadline, token = self._deadlines.popleft()
                pending = self._pending.get(token)
                if pending is None:
                    continue
                if deadline + blocked > now:
                    later.append((deadline + blocked, token))
                    continue
                del self._pending[token]
                self._fail(pending, Unavailable(f"{self.login.region}: no answer in time to {pending.subject}"))
            self._deadlines.extend(later)

    async def _failed(self, error: Exception) -> None:
        denied = _DENIED.search(str(error))
        if denied is None:
            distrusted = isinstance(error, ssl.SSLCertVerificationError)
            (log.warning if distrusted else log.debug)("nats", region=self.login.region, error=str(error))
            if isinstance(error, ssl.SSLError):
                await self._renew_trust()
            return
        subject = denied[2]
        reason = Denied(f"{self.login.user} has no permission for {denied[1]} of {subject} in {self.login.region}")
        log.error("denied", region=self.login.region, user=self.login.user, subject=subject, what=denied[1])
        for token, pending in list(self._pending.items()):
            if pending.subject.lower() == subject.lower():  # nats-py reports its errors in lower case
                self._pending.pop(token)
                self._fail(pending, reason)

    async def _renew_trust(self) -> None:
        """The next attempt believes and shows the certificates that are in the files then."""
        with suppress(TopologyError):  # half written: those before, until the attempt after that
            self.client.options["tls"] = read(Trust).context()

    async def _reconnected(self) -> None:
        log.info("reconnected", region=self.login.region, user=self.login.user)
        for call in self.on_reconnect:
            call()


def _parse_headers(raw: bytes) -> dict[str, str]:
    """A NATS header block as nats-py reads it: `name: value` lines, values as UTF-8; names without a space."""
    found = {}
    for line in raw.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon and " " not in name:
            found[name] = value.strip()
    return found


def status(message: Msg) -> str | None:
    """The status code of an inline status message (`404`, `503`, ...), or None for an ordinary one."""
    return message.headers.get("Status") if message.headers else None
