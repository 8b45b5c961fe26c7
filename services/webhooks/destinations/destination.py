"""Destination: what takes messages of one webhook; and an attempt at one that speaks no HTTP, bounded in time."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property
from time import perf_counter
from typing import Protocol

from mesh.envelope import Envelope, open_envelope
from mesh.partner_events import binary
from mesh.web.endpoint_client import MOST_SHOWN, Response

STRUCTURED = "application/cloudevents+json; charset=utf-8"


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
    return ({}, STRUCTURED, event) if mode == "structured" else binary(event)


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
