"""Sending: batches of rows to the gateway's `POST /v1/history`, again until they are answered."""

import asyncio
import random
from dataclasses import dataclass
from datetime import timedelta

import httpx
import msgspec

from mesh.errors import Unavailable
from services.connect.history.rows import Bad, Row

BUSY = frozenset({408, 429, 502, 503, 504})
AT_ONCE = 500


@dataclass(frozen=True)
class Answered:
    """What became of a batch: the digests that are stored, how many were stored before, and what was refused."""

    stored: list[bytes]
    duplicates: int
    refused: list[tuple[Bad, bytes]]


class Sender:
    """A connection to a gateway."""

    def __init__(self, url: str, key: str, *, patience: timedelta = timedelta(minutes=10)) -> None:
        """`patience` is how long a batch is sent again while the gateway is busy or away."""
        self._patience = patience.total_seconds()
        self._http = httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=httpx.Timeout(30, connect=5)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, rows: list[Row], *, again: bool) -> Answered:
        """Send rows; with `again` some may be stored already. Raises Unavailable where it is not taken."""
        events = [{"id": f"h-{row.digest.hex()}", "type": row.kind, **row.fields} for row in rows]
        body = msgspec.json.encode({"events": events})
        answer = await self._post(body, again=again)
        if answer.status_code == 413 and len(rows) > 1:
            half = len(rows) // 2
            one, other = await self.send(rows[:half], again=again), await self.send(rows[half:], again=again)
            return Answered(one.stored + other.stored, one.duplicates + other.duplicates, one.refused + other.refused)
        if answer.status_code not in (202, 422):
            raise Unavailable(f"the gateway refuses the import: {answer.status_code}: {answer.text[:300]}")
        verdict = answer.json()
        refused = {one["index"]: f"{one['path']}: {one['reason']}" for one in verdict["rejected"]}
        return Answered(
            stored=[row.digest for at, row in enumerate(rows) if at not in refused],
            duplicates=verdict["duplicates"],
            refused=[(Bad(rows[at].line, why), rows[at].digest) for at, why in sorted(refused.items())],
        )

    async def _post(self, body: bytes, *, again: bool) -> httpx.Response:
        clock = asyncio.get_running_loop().time
        deadline, attempt, reason = clock() + self._patience, 0, ""
        while True:
            attempt += 1
            wait = min(0.2 * 2 ** min(attempt, 8), 10) * random.uniform(0.5, 1)  # noqa: S311  jitter, not a secret
            # What was sent in the last two minutes is known by its id: a retry needs no looking up unless it is later.
            late = clock() > deadline - self._patience + 60
            try:
                answer = await self._http.post(
                    "/v1/history", content=body, params={"again": str(again or late).lower()}
                )
            except httpx.TransportError as error:
                reason = f"{type(error).__name__}: {error}"
            else:
                if answer.status_code not in BUSY:
                    return answer
                reason = f"{answer.status_code}: {answer.text[:200]}"
                header = answer.headers.get("retry-after", "")
                wait = min(float(header), 30) if header.isdigit() else wait
            if clock() + wait > deadline:
                raise Unavailable(f"the gateway did not take it: {reason}")
            await asyncio.sleep(wait)
