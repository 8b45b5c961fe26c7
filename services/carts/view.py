"""View: every cart as it is now, in a bucket. A projection: thrown away and rebuilt at will."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from mesh import Bucket, Mesh, Received
from mesh.errors import Conflict, Unavailable
from services.carts.fold import CartView, step

CARTS: Bucket[CartView] = Bucket("carts", CartView, rebuilt=True)
MOST_REMEMBERED = 5_000
AT_ONCE = 8
WRITES_PER_SECOND = 200
"""The view may lag behind a rush of carts; the rush must not wait for the view, which shares its disks."""
TRIES = 20


class Views:
    """Writes the view. A cart that it does not remember counts as new, until the bucket shows otherwise."""

    def __init__(self, mesh: Mesh) -> None:
        self._state = mesh.state(CARTS)
        self._remembered: OrderedDict[str, tuple[CartView, int]] = OrderedDict()
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def apply(self, events: Iterable[Received]) -> None:
        """Apply these events to the view; one write per cart however many there are."""
        by_cart: dict[str, list[Received]] = {}
        for received in events:
            by_cart.setdefault(received.event.cart_id, []).append(received)
        pace = asyncio.sleep(len(by_cart) / WRITES_PER_SECOND)
        await asyncio.gather(pace, *(self._apply(cart_id, events) for cart_id, events in by_cart.items()))

    async def _apply(self, cart_id: str, events: list[Received]) -> None:
        async with self._slots:
            remembered = self._remembered.pop(cart_id, None)
            known, revision = remembered or (CartView(cart_id=cart_id), 0)
            # Not `State.update`: no view is written of a cart that its events leave as it is.
            for _ in range(TRIES):
                wanted = known
                for received in events:
                    wanted = step(wanted, received)
                if wanted == known:
                    if remembered is None:
                        return
                    # Nothing new: delivered again, or the view is being rebuilt. The bucket knows which.
                    remembered = None
                    known, revision = await self._read(cart_id)
                    continue
                try:
                    revision = await self._state.put(cart_id, wanted, revision=revision)
                except Conflict:
                    known, revision = await self._read(cart_id)
                    continue
                self._remember(cart_id, wanted, revision)
                return
        raise Unavailable(f"the view of cart {cart_id} changes too fast")

    async def _read(self, cart_id: str) -> tuple[CartView, int]:
        known, revision = await self._state.entry(cart_id)
        return known or CartView(cart_id=cart_id), revision

    def _remember(self, cart_id: str, view: CartView, revision: int) -> None:
        self._remembered[cart_id] = view, revision
        while len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
