"""The sandbox provider's server."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from mesh.runtime.serving import serving
from services.demo.payment_provider.app import Booking, app
from services.demo.payment_provider.books import Books
from services.demo.payment_provider.webhooks import Webhooks


@asynccontextmanager
async def payment_provider(
    folder: Path, *, api_key: str, secrets: Iterable[str], host: str = "127.0.0.1", port: int = 0, seed: int = 0
) -> AsyncIterator[str]:
    """The running provider with its books in a folder; yields its address. `secrets` sign the webhooks."""
    books = Books(folder)
    webhooks = Webhooks(folder, secrets, seed)
    try:
        async with serving(app(Booking(books, webhooks, seed), api_key), host, port) as chosen:
            yield f"http://{host}:{chosen}"
    finally:
        await webhooks.close()
        books.close()
