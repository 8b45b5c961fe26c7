"""Opening: what makes a target of each kind of file."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache

import httpx

from mesh.web.checked_network import CheckedNetwork
from services.functions.address_target import AddressTarget
from services.functions.file_target import FileTarget
from services.functions.folder import FoundFile
from services.functions.function_settings import FunctionSettings
from services.functions.sandbox import open_fork_server
from services.functions.target import Target


@asynccontextmanager
async def open_targets(settings: FunctionSettings) -> AsyncIterator[Callable[[FoundFile], Target]]:
    """What makes targets, until the block ends."""
    network = CheckedNetwork(private=settings.functions_private_addresses)
    tls: Callable[[], ssl.SSLContext] = cache(httpx.create_ssl_context)  # reads the list of public authorities
    async with open_fork_server(at_once=settings.folder.is_dir()) as server:

        def make(found: FoundFile) -> Target:
            if found.path.suffix == ".toml":
                return AddressTarget(settings, network, tls(), found.text)
            return FileTarget(server, settings, found.path, found.text)

        try:
            yield make
        finally:
            network.close()
