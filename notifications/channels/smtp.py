"""SMTP: a few open connections, and whether a message was accepted, refused, or its fate is unknown.

Every mail goes through here, so that here is where it is signed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import aiosmtplib
import msgspec

from mesh.observability import tracing
from notifications.channels.delivery_errors import Undelivered, Unknown

if TYPE_CHECKING:
    from notifications.channels.signer import Signer

OPENING = (
    aiosmtplib.SMTPConnectError,
    aiosmtplib.SMTPServerDisconnected,
    aiosmtplib.SMTPTimeoutError,
    ConnectionError,
    OSError,
)


class SmtpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where mails go. `smtp_connections` bounds what is sent at once; `smtp_tls` is implicit TLS (port 465).

    STARTTLS is used wherever the server offers it.
    """

    smtp_host: str = "127.0.0.1"
    smtp_port: int = 1025
    smtp_user: str = ""
    smtp_password: str = ""
    smtp_tls: bool = False
    smtp_connections: int = 8
    smtp_timeout: float = 30.0


class Envelope:
    """A connection that took a message's sender and recipient, and waits for the message."""

    def __init__(self, server: aiosmtplib.SMTP, to: str, settings: SmtpSettings, signer: "Signer | None") -> None:
        self._server, self._settings, self._signer = server, settings, signer
        self.to = to
        self.handed_over = False
        """Whether the server took the message."""

    async def hand_over(self, message: bytes) -> str:
        """Sign the message, hand it over and return the server's answer. Raises Undelivered, Unknown."""
        if self._signer is not None:
            message = self._signer.sign(message)
        attributes: dict[str, str | int] = {
            "server.address": self._settings.smtp_host,
            "server.port": self._settings.smtp_port,
        }
        with tracing.span("send mail", "client", attributes=attributes):
            return await self._hand_over(message)

    async def _hand_over(self, message: bytes) -> str:
        try:
            answer = await self._server.data(message)
        except aiosmtplib.SMTPResponseException as error:
            raise _refusal(error) from error
        except OPENING as error:
            self._server.close()
            raise Unknown(f"{type(error).__name__} after the message was handed over") from error
        except BaseException:
            self._server.close()
            raise
        self.handed_over = True
        return f"{answer.code} {answer.message}"


class Pool:
    """Connections that are kept open between messages."""

    def __init__(self, settings: SmtpSettings, signer: "Signer | None" = None) -> None:
        """To the server of these settings; without a `signer` mails go unsigned."""
        self._settings, self._signer = settings, signer
        self.connections = settings.smtp_connections
        """How many there are at most."""
        self._idle: list[aiosmtplib.SMTP] = []
        self._free = asyncio.Semaphore(settings.smtp_connections)

    @asynccontextmanager
    async def envelope(self, sender: str, to: str) -> AsyncIterator["Envelope"]:
        """A connection of one's own on which the server took sender and recipient, as soon as one is free.

        Nothing is handed over until `Envelope.hand_over`; a connection on which that was not called is used again.
        Raises Undelivered, and whatever the block raises.
        """
        async with self._free:
            server = await self._begin(sender)
            try:
                await server.rcpt(to)
            except aiosmtplib.SMTPResponseException as error:
                await self._give_back(server)
                raise _refusal(error) from error
            except OPENING as error:
                server.close()
                raise Undelivered(f"connection lost: {type(error).__name__}", again=True) from error
            opened = Envelope(server, to, self._settings, self._signer)
            try:
                yield opened
            except asyncio.CancelledError:
                server.close()
                raise
            finally:
                if server.is_connected:
                    await self._give_back(server, used=opened.handed_over)

    async def send(self, sender: str, to: str, message: bytes) -> str:
        """Sign a message, hand it over and return the server's answer. Raises Undelivered, Unknown."""
        async with self.envelope(sender, to) as opened:
            return await opened.hand_over(message)

    async def close(self) -> None:
        """Say goodbye on every connection."""
        while self._idle:
            with suppress(Exception):
                await self._idle.pop().quit(timeout=2)

    async def _begin(self, sender: str) -> aiosmtplib.SMTP:
        """A connection that took MAIL FROM. One that had gone stale while idle is replaced: nothing is lost by that."""
        while self._idle:
            server = self._idle.pop()
            with suppress(*OPENING, aiosmtplib.SMTPResponseException):
                await server.mail(sender)
                return server
            server.close()
        server = await self._connect()
        try:
            await server.mail(sender)
        except aiosmtplib.SMTPResponseException as error:
            await self._give_back(server)
            raise _refusal(error) from error
        except OPENING as error:
            server.close()
            raise Undelivered(f"connection lost: {type(error).__name__}", again=True) from error
        return server

    async def _connect(self) -> aiosmtplib.SMTP:
        settings = self._settings
        server = aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_user or None,
            password=settings.smtp_password or None,
            use_tls=settings.smtp_tls,
            timeout=settings.smtp_timeout,
        )
        try:
            await server.connect()
        except aiosmtplib.SMTPAuthenticationError as error:
            server.close()
            reason = (
                "the mail server refused our name and password: check CARTMESH_SMTP_USER and CARTMESH_SMTP_PASSWORD"
            )
            raise Undelivered(reason, again=True) from error
        except (*OPENING, aiosmtplib.SMTPException) as error:
            server.close()
            where = f"{settings.smtp_host}:{settings.smtp_port}"
            raise Undelivered(f"no mail server at {where}: {type(error).__name__}", again=True) from error
        return server

    async def _give_back(self, server: aiosmtplib.SMTP, *, used: bool = False) -> None:
        """Keep a connection for the next message. One that was not `used` forgets the message that it began."""
        try:
            if not used:
                await server.rset()
        except (*OPENING, aiosmtplib.SMTPResponseException):
            server.close()
        else:
            self._idle.append(server)


def _refusal(error: aiosmtplib.SMTPResponseException) -> Undelivered:
    """4xx: perhaps later; 5xx: never (RFC 5321 section 4.2.1)."""
    return Undelivered(f"{error.code} {error.message}", again=400 <= error.code < 500)
