"""Code lists: codes that a shop brings, handed out one for each offer, in their order, until none is left.

Codes are kept in parts of some hundred, each for one region: which one follows from each code alone, so that a code has
one home even where two regions import it while they are cut off from each other. Of a part the region keeps how many
were handed out; that, the code's first state and the offer's code are one commit.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import blake2b

import msgspec
from prometheus_client import Gauge

from mesh import Mesh, Timer, Unchanged
from mesh.envelope import derive_id
from mesh.errors import Conflict, Unavailable
from mesh.events.code import (
    AssignCode,
    CodeAssigned,
    CodeAssignment,
    CodeChanged,
    CodeExpired,
    CodeListExhausted,
    CodePartUsed,
    CodesImported,
)
from mesh.observability.logs import log
from mesh.publish import Cause, Change
from mesh.streams import mesh_stream
from services.promotions.code_key import code_id

PART = 500
"""The most codes of one event."""
TRIES = 50
EXHAUSTED = Gauge(
    "cartmesh_code_lists_exhausted", "Code lists of which an offer wanted a code and none was left.", ["region"]
)


class ListCount(msgspec.Struct, frozen=True, kw_only=True):
    """A list in one region: how many codes came, and how many are left."""

    codes: int = 0
    left: int = 0


class CodeLists:
    """The imported lists, as this process has read them, and what is left of them."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self._parts: dict[str, CodesImported] = {}
        self._read: dict[str, int] = {}
        self._known: dict[str, str] = {}
        self._turn, self._reading = asyncio.Lock(), asyncio.Lock()
        self._exhausted: set[str] = set()

    async def assign(self, wanted: AssignCode) -> CodeAssignment:
        """A code of a list for an offer: the same for the same offer. None where none is left. Raises Unavailable."""
        async with self._turn:  # so that a process does not disturb itself
            for _ in range(TRIES):
                known = await self.mesh.last(CodeAssigned, wanted.offer_id)
                if known:
                    return CodeAssignment(code=known.event.code, left=(await self.count(wanted.list_name)).left)
                changes, found, place = await self._next(wanted)
                if not changes:
                    return await self._none_left(wanted)
                cause = Cause(id=derive_id("assign", wanted.offer_id, place), source="promotions.assign")
                try:
                    await self.mesh.commit(changes, cause)
                except Conflict:
                    continue
                if found:
                    return CodeAssignment(code=found, left=(await self.count(wanted.list_name)).left)
        raise Unavailable(f"list {wanted.list_name} was changed by others {TRIES} times in a row")

    async def look(self) -> None:
        """Lists that had run out and have codes again are no cause for alarm any more."""
        for name in list(self._exhausted):
            if (await self.count(name)).left:
                self._exhausted.discard(name)
        EXHAUSTED.labels(self.mesh.region).set(len(self._exhausted))

    async def add(self, list_name: str, codes: Sequence[str], expires: datetime | None, author: str) -> None:
        """Store codes of a list, each for its region. The same codes again change nothing."""
        for region, some in divided(codes, (self.mesh.region, *self.mesh.others)).items():
            for at in range(0, len(some), PART):
                part = tuple(some[at : at + PART])
                part_id = f"{list_name}-{blake2b(repr((region, part)).encode(), digest_size=8).hexdigest()}"
                made = CodesImported(
                    part_id=part_id, list_name=list_name, region=region, codes=part, expires=expires, author=author
                )
                cause = Cause(id=derive_id("import", part_id), source="promotions.import")
                try:
                    await self.mesh.commit([made, Unchanged(CodesImported, part_id, 0)], cause)
                except Conflict:
                    continue

    async def known(self, codes: Iterable[str]) -> dict[str, str]:
        """Key of a code -> the list that it stands in, or `an offer`, for those that were imported or issued before."""
        await self._read_on()
        keys = [code_id(code) for code in codes]
        found = {key: self._known[key] for key in keys if key in self._known}
        for region in (self.mesh.region, *self.mesh.others):
            for key in await self.mesh.last_of_each(CodeChanged, keys, region=region):
                found.setdefault(key, "an offer")
        return found

    async def names(self) -> list[str]:
        """The lists there are."""
        await self._read_on()
        return sorted({part.list_name for part in self._parts.values()})

    async def count(self, list_name: str, region: str | None = None) -> ListCount:
        """How many codes of a list came and are left in a region, as far as is known here."""
        await self._read_on()
        region = region or self.mesh.region
        parts = [one for one in self._parts.values() if (one.list_name, one.region) == (list_name, region)]
        used = await self.mesh.last_of_each(CodePartUsed, [one.part_id for one in parts], region=region)
        codes = sum(len(one.codes) for one in parts)
        return ListCount(codes=codes, left=codes - sum(one.event.used for one in used.values()))

    async def codes(self, list_name: str) -> dict[str, list[str]]:
        """The codes of a list by region."""
        await self._read_on()
        found: dict[str, list[str]] = {}
        for part in self._parts.values():
            if part.list_name == list_name:
                found.setdefault(part.region, []).extend(part.codes)
        return found

    async def _next(self, wanted: AssignCode) -> tuple[list[Change], str | None, str]:
        """What gives the next code to an offer, the code, and its place; one that has a state is passed over."""
        await self._read_on()
        for part_id in sorted(self._parts):
            part = self._parts[part_id]
            if (part.list_name, part.region) != (wanted.list_name, self.mesh.region):
                continue
            used = await self.mesh.last(CodePartUsed, part_id)
            place = used.event.used if used else 0
            if place >= len(part.codes):
                continue
            code = part.codes[place]
            key = code_id(code)
            changes: list[Change] = [
                CodePartUsed(part_id=part_id, list_name=part.list_name, used=place + 1),
                Unchanged(CodePartUsed, part_id, used.sequence if used else 0),
            ]
            if await self.mesh.last(CodeChanged, key):
                return changes, None, f"{part_id} {place}"
            state = CodeChanged(
                code_id=key,
                code=code,
                state="free",
                discount=wanted.discount,
                expires=part.expires,
                journey=wanted.journey,
                offer_id=wanted.offer_id,
                list_name=part.list_name,
            )
            changes += [state, Unchanged(CodeChanged, key, 0)]
            changes += [
                CodeAssigned(offer_id=wanted.offer_id, code_id=key, code=code, list_name=part.list_name),
                Unchanged(CodeAssigned, wanted.offer_id, 0),
            ]
            if part.expires:
                changes.append(Timer(CodeExpired(code_id=key), part.expires))
            return changes, code, f"{part_id} {place}"
        return [], None, ""

    async def _none_left(self, wanted: AssignCode) -> CodeAssignment:
        if wanted.list_name not in self._exhausted:
            self._exhausted.add(wanted.list_name)
            EXHAUSTED.labels(self.mesh.region).set(len(self._exhausted))
            log.error("no code is left: offers are held until more are imported", code_list=wanted.list_name)
            last = await self.mesh.last(CodeListExhausted, wanted.list_name)
            cause = Cause(
                id=derive_id("exhausted", wanted.list_name, str(last.sequence if last else 0)), source="promotions"
            )
            await self.mesh.commit([CodeListExhausted(list_name=wanted.list_name, journey=wanted.journey)], cause)
        return CodeAssignment()

    async def _read_on(self) -> None:
        async with self._reading:
            own = self.mesh.stream_of(CodesImported)
            for stream in (own, mesh_stream(self.mesh.region)) if self.mesh.others else (own,):
                async for one in self.mesh.read(CodesImported, stream=stream, after=self._read.get(stream, 0)):
                    self._read[stream] = one.sequence
                    self._parts.setdefault(one.event.part_id, one.event)
                    for code in one.event.codes:
                        self._known.setdefault(code_id(code), one.event.list_name)


def divided(codes: Iterable[str], regions: Iterable[str]) -> dict[str, list[str]]:
    """The codes by the region that is their home: it follows from a digest of each code."""
    names = sorted(regions)
    found: dict[str, list[str]] = {name: [] for name in names}
    for code in codes:
        found[names[int(code_id(code)[:8], 16) % len(names)]].append(code)
    return found
