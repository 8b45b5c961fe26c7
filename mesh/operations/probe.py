"""Probe: one event sent to a service's HTTP interface, and its outcome awaited in the log."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from time import monotonic

from mesh.errors import DeclarationError, Unavailable
from mesh.event import find
from mesh.mesh import Mesh

_LOOK_EVERY = 0.1


@dataclass(frozen=True, kw_only=True)
class Probed:
    """What came of a probe: its key, and the time from the request to its outcome."""

    key: str
    took: timedelta


async def probe(mesh: Mesh, url: str, *, body: str, key: str, awaits: str, within: timedelta) -> Probed:
    """Post `body` with a write key, then wait until `awaits` (`user.scored.v1`) is in the log for the probe's key.

    In the body PROBE stands for a fresh key and NOW for the time. DeclarationError for a type that nobody declared,
    Unavailable when the service refuses or the outcome does not come.
    """
    import httpx  # noqa: PLC0415  only this needs it

    declaration = find(awaits)
    if declaration is None:
        raise DeclarationError(f"no event is called {awaits!r}; `cartmesh mesh show` lists them")
    fresh, clock = f"probe-{token_hex(6)}", monotonic
    begun = clock()
    text = body.replace("PROBE", fresh).replace("NOW", datetime.now(UTC).isoformat())
    try:
        async with httpx.AsyncClient(timeout=within.total_seconds()) as client:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
            answer = await client.post(url, content=text, headers=headers)
    except httpx.HTTPError as error:
        raise Unavailable(f"{url} does not answer: {error or type(error).__name__}") from error
    if answer.is_error or answer.json().get("rejected"):
        raise Unavailable(f"{url} refused the event: {answer.status_code} {answer.text[:300]}")
    while await mesh.last(declaration.kind, fresh) is None:
        if clock() - begun > within.total_seconds():
            raise Unavailable(
                f"{url} stored the event, but no {awaits} of {fresh} came in {within.total_seconds():g} s"
            )
        await asyncio.sleep(_LOOK_EVERY)
    return Probed(key=fresh, took=timedelta(seconds=clock() - begun))
