"""Destination: what takes messages of one webhook; and an attempt at one that speaks no HTTP, bounded in time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cached_property
from time import perf_counter
from typing import Protocol

import msgspec

from mesh.envelope import Envelope, open_envelope
from services.webhooks.partner_events import attributes_of

STRUCTURED = "application/cloudevents+json; charset=utf-8"
MOST_SHOWN = 300
"""Characters of an error or answer that are kept."""
GONE = 410


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt. `duration` is in milliseconds; `error` says what is wrong, None where nothing is."""

    duration: float
    status: int | None = None
    error: str | None = None
    answer: str | None = None
    retry_after: datetime | None = None

    @property
    def delivered(self) -> bool:
        """Whether the destination took it."""
        return self.error is None

    @property
    def gone(self) -> bool:
        """Whether an endpoint says that it wants nothing more (410)."""
        return self.status == GONE


class Message:
    """One CloudEvent as it is sent: `body` with its `content_type`.

    In structured mode the body is `event`, in binary mode the event's data, and `attributes` are for the headers.
    `signed` are the three headers of Standard Webhooks, over the body.
    """

    def __init__(
        self, event: bytes, *, attributes: dict[str, str], content_type: str, body: bytes, signed: dict[str, str]
    ) -> None:
        self.event, self.body, self.content_type = event, body, content_type
        self.attributes, self.signed = attributes, signed

    @cached_property
    def envelope(self) -> Envelope:
        """The event that is sent."""
        return open_envelope(self.event)

    @property
    def id(self) -> str:
        """The same whenever the event is sent again."""
        return self.signed["webhook-id"]


class Destination(Protocol):
    """Takes the messages of one webhook. Whatever goes wrong is in the response; nothing is raised."""

    async def send(self, message: Message) -> Response:
        """One attempt to deliver."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


def parts(event: bytes, mode: str) -> tuple[dict[str, str], str, bytes]:
    """An event in a mode of CloudEvents: the attributes for the headers, the media type, and the body."""
    if mode == "structured":
        return {}, STRUCTURED, event
    envelope = open_envelope(event)
    return attributes_of(envelope), envelope.datacontenttype, bytes(envelope.data)


async def attempted(
    deadline: float, work: Callable[[], Awaitable[None]], words: Callable[[Exception], str]
) -> Response:
    """The response of a broker: nothing where `work` ends, else `words` of what it raised. `deadline` is in seconds."""
    begun, error = perf_counter(), None
    try:
        async with asyncio.timeout(deadline):
            await work()
    except TimeoutError:
        error = f"no confirmation within {deadline:g} s"
    except Exception as raised:  # noqa: BLE001  whatever a broker does, it is an attempt that failed
        error = words(raised)[:MOST_SHOWN]
    return Response(duration=round((perf_counter() - begun) * 1000, 1), error=error)
