"""Render: offers become mails and cards, in child processes that may fail without harm."""

import asyncio
import contextlib
import os
import struct
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from mesh.errors import MeshError
from notifications.templates.template import Template, digest_of


class RenderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`render_cpu` and `render_wall` are seconds per mail, `render_memory` bytes per worker."""

    render_workers: int = 1
    render_cpu: float = 0.5
    render_wall: float = 10.0
    render_memory: int = 512 * 1024 * 1024


class CardText(msgspec.Struct, frozen=True, kw_only=True):
    """What the storefront shows of an offer: plain text."""

    title: str
    body: str
    action: str


class PushText(msgspec.Struct, frozen=True, kw_only=True):
    """A notification: plain text."""

    title: str = ""
    body: str = ""


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A mail in the shopper's language; the same offer as a card, a notification and a text message."""

    locale: str
    subject: str
    html: str
    text: str
    card: CardText
    preheader: str = ""
    sms: str = ""
    sms_beside_mail: bool = False
    """Of a message about an order: whether the text goes to who gets the mail as well."""
    push: PushText = PushText()
    url: str = ""
    """Where the offer leads."""


class TemplateError(MeshError):
    """A template cannot be rendered: the message names the template, its line and what to do."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"template {where}: {why}")
        self.where, self.why = where, why


REMEMBERED = 256
"""How many templates that take too long are refused at once."""


class WorkerDied(Exception):
    """A worker ended while it had a job."""


class RenderPool:
    """Render workers that wait for work. One that dies or exceeds its limits is replaced."""

    def __init__(self, settings: RenderSettings) -> None:
        self._settings = settings
        self._idle: asyncio.Queue[asyncio.subprocess.Process | None] = asyncio.Queue()
        self._all: set[asyncio.subprocess.Process] = set()
        self._costly: OrderedDict[tuple[Template, str | None], TemplateError] = OrderedDict()

    def start_when_needed(self) -> None:
        """Let each worker start with the first job that it gets."""
        for _ in range(self._settings.render_workers):
            self._idle.put_nowait(None)

    async def start(self) -> None:
        """Start the workers; returns once they are ready."""
        for worker in await asyncio.gather(*(self._spawn() for _ in range(self._settings.render_workers))):
            self._idle.put_nowait(worker)

    async def render(self, template: Template, locale: str | None, data: dict[str, Any]) -> Rendered:
        """The offer in the shopper's locale, or the nearest there is. Raises TemplateError, never hangs."""
        if (template, locale) in self._costly:  # refused at once: others wait for the same worker
            raise self._costly[template, locale]
        job = {"name": template.name, "digest": digest_of(template), "locale": locale, "data": data}
        try:
            try:
                answer = await self._give(template, job)
            except WorkerDied:  # perhaps by another's hand: whoever dies of the same job twice dies of the job
                answer = await self._give(template, job)
        except WorkerDied:
            error = TemplateError(template.name, "it takes its worker down: look for huge numbers or texts")
            self._remember(template, locale, error)
            raise error from None
        if "why" in answer:
            error = TemplateError(answer["where"], answer["why"])
            if answer.get("costly"):
                self._remember(template, locale, error)
            raise error
        return msgspec.convert(answer["mail"], Rendered)

    async def stop(self) -> None:
        """End the workers."""
        for worker in list(self._all):
            await self._kill(worker)

    async def _give(self, template: Template, job: dict[str, Any]) -> dict[str, Any]:
        worker = await self._idle.get()
        try:
            worker = worker if worker and worker.returncode is None else await self._spawn()
            return await self._ask(worker, template, job)
        finally:
            alive = worker if worker and worker.returncode is None and worker in self._all else None
            self._idle.put_nowait(alive)

    def _remember(self, template: Template, locale: str | None, error: TemplateError) -> None:
        self._costly[template, locale] = error
        if len(self._costly) > REMEMBERED:
            self._costly.popitem(last=False)

    async def _ask(self, worker: asyncio.subprocess.Process, template: Template, job: dict[str, Any]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._settings.render_wall):
                await _write(worker, msgspec.json.encode(job))
                answer = await _read(worker)
                if "unknown" in answer:  # its texts are sent once, and again where they were forgotten
                    await _write(worker, msgspec.json.encode({**job, "template": template}))
                    answer = await _read(worker)
                return answer
        except TimeoutError:
            await self._kill(worker)
            raise TemplateError(
                template.name, f"not done after {self._settings.render_wall:g} s: simplify it"
            ) from None
        except (asyncio.IncompleteReadError, ConnectionError):
            await self._kill(worker)
            raise WorkerDied from None
        except BaseException:
            await self._kill(worker)  # cancelled half way: its answer would be taken for the next one's
            raise

    async def _spawn(self) -> asyncio.subprocess.Process:
        settings = self._settings
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "notifications.render_worker"),
            *(str(settings.render_cpu), str(settings.render_memory)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=_environment(),  # no secrets: templates are the marketers', not ours
            start_new_session=True,  # ctrl-c is for the parent, which drains first
        )
        self._all.add(worker)
        async with asyncio.timeout(60):
            await _read(worker)
        return worker

    async def _kill(self, worker: asyncio.subprocess.Process) -> None:
        self._all.discard(worker)
        with contextlib.suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()


@asynccontextmanager
async def open_render_pool(settings: RenderSettings, *, when_needed: bool = False) -> AsyncIterator[RenderPool]:
    """Render workers until the block ends; `when_needed`: none before there is a job."""
    made = RenderPool(settings)
    try:
        if when_needed:
            made.start_when_needed()
        else:
            await made.start()
        yield made
    finally:
        await made.stop()


def _environment() -> dict[str, str]:
    here = str(Path(__file__).parent.parent)
    return {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": here, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}


async def _write(worker: asyncio.subprocess.Process, body: bytes) -> None:
    if worker.stdin is None:
        raise ConnectionError("worker without stdin")
    worker.stdin.write(struct.pack(">I", len(body)) + body)
    await worker.stdin.drain()


async def _read(worker: asyncio.subprocess.Process) -> dict[str, Any]:
    if worker.stdout is None:
        raise ConnectionError("worker without stdout")
    size = struct.unpack(">I", await worker.stdout.readexactly(4))[0]
    answer: dict[str, Any] = msgspec.json.decode(await worker.stdout.readexactly(size))
    return answer
