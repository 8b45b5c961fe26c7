"""Inbox server: the embedded SMTP server and its page, for development and tests."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiosmtpd.smtp import SMTP

from notifications.inbox.store import RECORD, Inbox


@asynccontextmanager
async def inbox(
    folder: Path,
    *,
    smtp_port: int = 0,
    http_port: int | None = None,
    host: str = "127.0.0.1",
    refuse: dict[str, str] | Callable[[str], str | None] | None = None,
) -> AsyncIterator[Inbox]:
    """The running inbox until the block ends; port 0 is any free one, no `http_port` no page.

    Writes `inbox.json` with its addresses into the folder; started there again, port 0 is the same as before.
    """
    box = Inbox(folder, refuse=refuse)
    server = await _listen(box, host, smtp_port or _before(folder))
    box.smtp_port = server.sockets[0].getsockname()[1]
    try:
        if http_port is None:
            _announce(box, host)
            yield box
            return
        from mesh.runtime.serving import serving  # noqa: PLC0415  tests without a page need no HTTP server
        from notifications.inbox.page import app  # noqa: PLC0415

        async with serving(app(box), host, http_port) as chosen:
            box.url = f"http://{host}:{chosen}"
            _announce(box, host)
            try:
                yield box
            finally:
                for end in box.on_close:  # the HTTP server waits for answers that are under way
                    end()
    finally:
        server.close()
        box.close()


async def _listen(box: Inbox, host: str, port: int) -> asyncio.Server:
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(box, hostname="inbox.example.test", enable_SMTPUTF8=True, loop=loop, data_size_limit=10_000_000)

    try:
        return await loop.create_server(session, host, port, backlog=512)
    except OSError:
        if port and port == _before(box.folder):
            return await loop.create_server(session, host, 0, backlog=512)
        raise


def _before(folder: Path) -> int:
    """The port of an earlier run in this folder: services that send here know no other."""
    try:
        return int(json.loads((folder / "inbox.json").read_text())["smtp_port"])
    except (OSError, ValueError, KeyError):
        return 0


def _announce(box: Inbox, host: str) -> None:
    addresses = {"smtp_host": host, "smtp_port": box.smtp_port, "url": box.url, "record": str(box.folder / RECORD)}
    part = box.folder / "inbox.json.part"
    part.write_text(json.dumps(addresses))
    part.rename(box.folder / "inbox.json")
