"""What every test may ask for: a mesh in memory, a connection to it, and patience with a limit."""

import asyncio
import gc
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import httpx
import pytest
import structlog
from httpx._transports import default as transports
from hypothesis import HealthCheck, settings
from litestar.testing import AsyncTestClient

from mesh.broker.memory import MemoryMesh
from mesh.broker.protocol import Broker
from mesh.mesh import Mesh
from mesh.runtime.discovery import discover
from mesh.runtime.hosting import Handler, Hosted, hosting
from mesh.web.accounts import ACCOUNTS, Account
from mesh.web.sessions import Sessions
from services.gateway import Accepted, app
from services.gateway.intake import Intake, IntakeSettings
from services.gateway.live import LiveOffers

ROOT = Path(__file__).parents[1]

# A busy machine is no counterexample, and a run says the same twice.
settings.register_profile("cartmesh", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cartmesh")


def pytest_configure(config: pytest.Config) -> None:
    """Long runs have a marker of their own; services here have the secrets that they do not start without."""
    for name in ("CARTMESH_SECRET", "CARTMESH_ADDRESS_SECRET", "CARTMESH_WEBHOOK_SIGNING_SECRET"):
        os.environ.setdefault(name, f"p{token_hex(16)}")
    # An HTTP client reads the list of public authorities, for 30 ms: here once, for the hundreds that tests open.
    transports.create_ssl_context = cache(transports.create_ssl_context)
    config.addinivalue_line("markers", "drill: a chaos test's long run, left out unless `-m drill` asks for it")


LONGEST = {
    "broker/test_mail_reports_on_servers.py",
    "browser/test_block_pages.py",
    "browser/test_board_page.py",
    "browser/test_browser_script.py",
    "browser/test_console_pages.py",
    "browser/test_journey_steps_page.py",
    "browser/test_offer_card.py",
    "browser/test_page_lives.py",
    "browser/test_shop_pages.py",
    "browser/test_shop_path.py",
    "chart/test_local_tls.py",
    "chart/test_new_package.py",
    "chart/test_wheel.py",
    "contract/test_running.py",
    "offers/test_offer_sent.py",
    "security/test_residency.py",
    "stories/test_board_live.py",
    "stories/test_cart_left_or_bought.py",
    "stories/test_journey_steps_on_servers.py",
    "stories/test_model_life.py",
    "stories/test_offer_killed_in_the_middle.py",
    "stories/test_operating.py",
    "stories/test_up_command.py",
}
"""Files that take more than 20 s on two cores, besides those of chaos."""


def _place(item: pytest.Item) -> float:
    """Where a file stands in the whole run, from 0 to 1.

    By its path's checksum, so that the heavy files of a folder do not run side by side; those that take longest are not
    among the last, so that no worker is still busy with one when the others have nothing left to do.
    """
    folder, name = item.path.parent.name, item.path.name
    share: float = zlib.crc32(f"{folder}/{name}".encode()) / 2**32
    return share * 0.6 if folder == "chaos" or f"{folder}/{name}" in LONGEST else share


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mix the files; leave drills out, unless the expression after `-m` speaks of them."""
    items.sort(key=_place)
    if "drill" in config.option.markexpr:
        return
    drills = [item for item in items if item.get_closest_marker("drill")]
    config.hook.pytest_deselected(items=drills)
    items[:] = [item for item in items if item not in drills]


def pytest_collection_finish() -> None:
    """Leave what was collected out of every full garbage collection: it stays until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def regions() -> MemoryMesh:
    """Two linked regions in memory, `us` and `eu`."""
    return MemoryMesh("us", "eu")


@pytest.fixture
async def memory_broker(regions: MemoryMesh) -> AsyncIterator[Broker]:
    """A connection to `us`."""
    broker = regions.broker("us")
    yield broker
    await broker.drain()


@pytest.fixture
def mesh(memory_broker: Broker) -> Mesh:
    """A service's mesh in `us`."""
    return Mesh(memory_broker, "tests", others=("eu",))


@pytest.fixture
def gateway_client() -> Callable[[Mesh], AbstractAsyncContextManager[AsyncTestClient[Any]]]:
    """Open the gateway of a mesh, with all that services accept, for HTTP requests."""

    @asynccontextmanager
    async def opened(mesh: Mesh) -> AsyncIterator[AsyncTestClient[Any]]:
        async with (
            hosting(discover(), mesh) as hosted,
            AsyncTestClient(app(mesh, LiveOffers(), Accepted(hosted))) as client,
        ):
            yield client

    return opened


@pytest.fixture(scope="session")
def intake() -> Intake:
    """The gateway's intake of what all services accept."""
    acceptances = [one for service in discover() for one in service.acceptances if not one.joins]
    hosted = {one.type: Hosted(owner=Handler(acceptance=one, extra={})) for one in acceptances}
    return Intake(hosted, IntakeSettings(), lambda customer_id, signature: signature == f"signed {customer_id}")


@pytest.fixture(scope="session")
def signed_in() -> Callable[..., Awaitable[dict[str, str]]]:
    """Headers with which a script may look at pages: those of a new API token in the bucket of a mesh's region."""

    async def create(mesh: Mesh, role: str = "viewer") -> dict[str, str]:
        name = f"a{token_hex(8)}"
        account = Account(id=name, email=f"{name}@example.com", name=role, roles=(role,), created=datetime.now(UTC))
        await mesh.state(ACCOUNTS).put(account.id, account)
        token = await Sessions(mesh).create_token(account.id, name="test", lasting=timedelta(hours=1))
        return {"Authorization": f"Bearer {token}"}

    return create


class Staff:
    """Somebody of the shop's staff who is signed in, before the pages of one service: looks, and sends forms."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str) -> httpx.Response:
        """A page."""
        return await self._client.get(path)

    async def send(self, path: str, *, page: str, **fields: str) -> httpx.Response:
        """A form of a page, filled in."""
        csrf = re.search(r'name="csrf" value="(\w+)"', (await self.get(page)).text)
        return await self._client.post(path, data={**fields, "csrf": csrf[1] if csrf else ""})


@pytest.fixture
async def staff() -> AsyncIterator[Callable[..., Awaitable[Staff]]]:
    """Sign somebody with a role in, before a service's pages at a port."""
    async with AsyncExitStack() as stack:

        async def come(mesh: Mesh, port: int, role: str) -> Staff:
            name = f"a{token_hex(8)}"
            account = Account(id=name, email=f"{name}@example.com", name=role, roles=(role,), created=datetime.now(UTC))
            await mesh.state(ACCOUNTS).put(account.id, account)
            token = await Sessions(mesh).begin(account.id, agent="test", lasting=timedelta(hours=1))
            client = httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}",
                headers={"accept": "text/html"},
                cookies={f"cartmesh-{mesh.region}-session": token},
                timeout=120,
            )
            return Staff(await stack.enter_async_context(client))

        yield come


class NameServer(asyncio.DatagramProtocol):
    """A name server on this machine: TXT records by name; no answer while it is `silent`, an error while it `fails`."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.silent = self.fails = False
        self.asked: list[str] = []
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """It listens."""
        self.transport = transport

    @property
    def address(self) -> str:
        """Where it listens, as settings have it."""
        return "{}:{}".format(*self.transport.get_extra_info("sockname"))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer a question, in strings of at most 255 bytes."""
        query = dns.message.from_wire(data)
        name = query.question[0].name
        self.asked.append(name.to_text(omit_final_dot=True))
        if self.silent:
            return
        answer = dns.message.make_response(query)
        texts = self.texts.get(self.asked[-1])
        if self.fails:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif texts:
            parts = ([one[at : at + 255] for at in range(0, len(one), 255)] for one in texts)
            written = (" ".join(f'"{part}"' for part in one) for one in parts)
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *written))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), addr)


@pytest.fixture(scope="session")
def name_server() -> Callable[[], AbstractAsyncContextManager[NameServer]]:
    """Open a name server, in the loop of whoever asks."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[NameServer]:
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
        try:
            yield server
        finally:
            transport.close()

    return opened


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command that a test runs in this process sets how it logs; the next test is not to inherit that."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def uv() -> Callable[..., str]:
    """Runs uv and gives what it prints. What is not in its cache it fetches; where no registry is reached, it skips."""
    program = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")

    def run(*words: str, **environment: str) -> str:
        if not program:
            pytest.skip("uv is not installed: `make setup` brings it")
        for network in ("--offline", "--no-progress"):
            command, variables = [program, *words, network], os.environ | environment
            ran = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=100, cwd=ROOT, env=variables
            )
            if ran.returncode == 0:
                return ran.stdout
        if re.search(r"[Ff]ailed to fetch|error sending request|dns error", ran.stderr):
            pytest.skip(f"no package registry is reached: {ran.stderr.strip().splitlines()[0]}")
        raise AssertionError(ran.stderr)

    return run


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Awaitable[Any]]:
    """Ask again and again until the answer is truthy; fails after `within` seconds with the last answer."""

    async def ask(question: Callable[[], Any], *, within: float = 60.0) -> Any:
        clock = asyncio.get_running_loop().time
        deadline = clock() + within
        while True:
            answer = question()
            if isinstance(answer, Awaitable):
                answer = await answer
            if answer:
                return answer
            assert clock() < deadline, f"still {answer!r} after {within:g} s"
            await asyncio.sleep(0.02)

    return ask
