"""TcpProxy: a TCP proxy on loopback that carries one link to one server and can be cut and healed."""

import asyncio
from typing import cast


class TcpProxy:
    """Forwards connections to (`host`, `port`) while it is whole; cut, it resets them and every new one."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.Transport] = set()
        self.whole = True
        self.port = 0

    async def open(self) -> None:
        """Listen on a free port, which is kept through cuts: nobody else can take it meanwhile."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _End(self, self._target), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Reset what is connected, and what comes until it is healed."""
        self.whole = False
        for end in tuple(self._ends):
            end.abort()

    def heal(self) -> None:
        """Carry connections again."""
        self.whole = True

    def close(self) -> None:
        """End for good."""
        self.cut()
        if self._server:
            self._server.close()

    def took(self, end: asyncio.Transport) -> None:
        """A connection was made."""
        self._ends.add(end)
        if not self.whole:
            end.abort()

    def lost(self, end: asyncio.Transport) -> None:
        """A connection is gone."""
        self._ends.discard(end)


class _End(asyncio.Protocol):
    """One side of a forwarded connection; `_peer` is the other."""

    def __init__(self, proxy: TcpProxy, target: tuple[str, int] | None, peer: "_End | None" = None) -> None:
        self._proxy, self._target, self._peer = proxy, target, peer
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._dialing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class, only by what it can do
        self._proxy.took(self._transport)
        if self._target and self._proxy.whole:
            self._dialing = asyncio.get_running_loop().create_task(self._dial(*self._target))

    async def _dial(self, host: str, port: int) -> None:
        try:
            _, peer = await asyncio.get_running_loop().create_connection(
                lambda: _End(self._proxy, None, self), host, port
            )
        except OSError:
            if self._transport:
                self._transport.abort()
            return
        self._peer = peer
        if self._transport is None or self._transport.is_closing():
            peer.abort()
            return
        for data in self._early:
            peer.write(data)
        self._early.clear()

    def data_received(self, data: bytes) -> None:
        if self._peer is None:
            self._early.append(data)
        else:
            self._peer.write(data)

    def write(self, data: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()

    def pause_writing(self) -> None:
        """The receiver is slow: stop reading from the sender."""
        if self._peer:
            self._peer.pause_reading()

    def resume_writing(self) -> None:
        """The receiver has caught up."""
        if self._peer:
            self._peer.resume_reading()

    def pause_reading(self) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport:
            self._proxy.lost(self._transport)
        if self._peer:
            self._peer.abort() if error else self._peer.finish()

    def finish(self) -> None:
        """The other side closed in order: what was written still goes out."""
        if self._transport:
            self._transport.close()
