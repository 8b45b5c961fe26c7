"""Write side: an order is taken, or a command about one is decided and appended if nothing happened meanwhile."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from mesh import History, Mesh, Received, Unchanged
from mesh.errors import Conflict, InvalidField, Unavailable
from mesh.events.cart import CartLine
from mesh.events.code import OrderCode
from mesh.events.order import Command, OrderCreated, OrderDeliveryAddressed, OrderPlaced
from mesh.personal_data import PersonalKey
from mesh.publish import Cause, Change, Draft
from mesh.subjects import subject_of
from services.orders.commands import Asked, NotPossible, decide
from services.orders.fold import KINDS, OrderView, fold
from services.orders.marks import known_names, marks_under
from services.orders.reduced import claimed, given_back, order_code, reduced
from services.orders.taking import Address, NewOrder, agreed, buyer_of, check, priced, total_of

TRIES = 8
PAUSE = 0.02


class UnknownOrder(NotPossible):
    """There is no such order in this region."""


@dataclass(frozen=True)
class Taken:
    """What became of a command: the order afterwards, the place of the event, and whether it had been done before."""

    order: OrderView
    sequence: int
    repeated: bool


def command_of(scope: str, key: str, body: bytes, *about: str) -> Command:
    """A request by its digests: of the sender's scope, its Idempotency-Key and what it is about, and of its body."""
    return Command(key=_digest(scope, *about, key), body=_digest(body.hex()))


class Writer:
    """Takes orders and commands of one region."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    async def create(self, new: NewOrder, command: Command) -> Taken:
        """Take an order; its id follows from the command's key, so that the same request again changes nothing.

        Raises InvalidField, NotPossible for a key that was used with another body, and Unavailable.
        """
        order_id, now = command.key, datetime.now(UTC)
        # Side by side: whether the order is known, its products, its shopper's names, and the key of its address. The
        # key is made before it is known whether the order is refused: then nothing is encrypted with it.
        known, full, names, key = await asyncio.gather(
            self._repeated(order_id, command),
            self._priced(new),
            known_names(new.visitor_id, self._mesh),
            self._address_key(new, order_id),
        )
        if known:
            return known
        if isinstance(full, InvalidField):
            raise full
        lines, code = await self._reduced(new, full, order_id)
        created = OrderCreated(
            order_id=order_id,
            lines=lines,
            total=total_of(lines),
            payment_method=new.payment_method,
            command=command,
            visitor_id=new.visitor_id,
            customer_id=new.customer_id,
            cart_id=new.cart_id,
            session_id=new.session_id,
            address_id=order_id if new.address else None,
            reference=new.reference,
            buyer=buyer_of(new),
            coupon=new.coupon,
            code=code,
        )
        changes: list[Change] = [Draft(event=created, time=now), Unchanged(OrderCreated, order_id, 0)]
        if created.visitor_id:
            changes.append(_placed(created, created.visitor_id))
        changes += marks_under(names, created, now, order_id=order_id)
        if new.address:
            await self._keep_address(order_id, order_id, new.address, key)
        try:
            (place,) = await self._mesh.commit(changes, Cause(id=order_id, source="orders.create"))
        except Conflict:
            if known := await self._repeated(order_id, command):
                return known
            raise Unavailable(f"order {order_id} is being stored by another request") from None
        if place.duplicate:  # stored by an attempt whose answer was lost
            if known := await self._repeated(order_id, command):
                return known
            raise Unavailable(f"order {order_id} cannot be read yet")
        # The commit's first message; behind it are all others but the condition, which stands in it.
        sequence = place.sequence - (len(changes) - 2)
        return Taken(fold(order_id, [_stored(created, now, sequence, self._mesh.region)]), sequence, repeated=False)

    async def _address_key(self, new: NewOrder, order_id: str) -> PersonalKey | None:
        return await self._mesh.personal_data.key_for(order_id, probably_new=True) if new.address else None

    async def _priced(self, new: NewOrder) -> tuple[CartLine, ...] | InvalidField:
        """The order's lines as the catalogue has them, or what is wrong: no matter where the order is known already."""
        try:
            check(new)
            return await priced(new, self._mesh)
        except InvalidField as wrong:
            return wrong

    async def _reduced(
        self, new: NewOrder, full: tuple[CartLine, ...], order_id: str
    ) -> tuple[tuple[CartLine, ...], OrderCode | None]:
        """The order's lines at what they cost, and the code that is reserved for it.

        A shop that says what it takes off itself names the coupon for the books alone.

        Raises InvalidField, Unavailable.
        """
        if new.coupon is None or new.discount_percent:
            return agreed(new, full), None
        held = await claimed(new, order_id, total_of(full), self._mesh)
        try:
            lines = agreed(new, await reduced(full, held, self._mesh))
        except InvalidField:
            await given_back(new, order_id, self._mesh)
            raise
        return lines, order_code(held, full, lines)

    async def command(self, order_id: str, asked: Asked, command: Command) -> Taken:
        """Decide a command and append what it comes to; decided again where something happened meanwhile.

        Raises UnknownOrder, NotPossible, InvalidField, Unavailable.
        """
        for _ in range(TRIES):
            history = await self.history(order_id)
            order = fold(order_id, history)
            decided = decide(asked, order, command)
            if decided is None:
                return Taken(order, order.sequence, repeated=True)
            if isinstance(asked, Address):
                await self._keep_address(order_id, command.key, asked)
            changes: list[Change] = [decided.event, *history.unchanged(*decided.unless)]
            cause = Cause(id=command.key, source=f"orders.{type(decided.event).__name__}")
            try:
                stored = await self._mesh.commit(changes, cause)
            except Conflict:
                await asyncio.sleep(PAUSE)
                continue
            sequence = stored[0].sequence
            return Taken(await self._read(order_id, sequence), sequence, repeated=stored[0].duplicate)
        raise Unavailable(f"order {order_id} changes too fast")

    async def history(self, order_id: str) -> History:
        """What happened to an order, oldest first. Raises UnknownOrder."""
        history = await self._mesh.history(order_id, *KINDS)
        if history.last(OrderCreated) is None:
            if await self._mesh.last(OrderCreated, order_id) is None:
                raise UnknownOrder(f"there is no order {order_id} in {self._mesh.region}")
            raise Unavailable(f"order {order_id} cannot be read yet")
        return history

    async def _read(self, order_id: str, sequence: int) -> OrderView:
        """The order as of a place in the stream or later. Raises Unavailable where it cannot be read soon."""
        for _ in range(100):
            order = fold(order_id, await self._mesh.history(order_id, *KINDS))
            if order.sequence >= sequence:
                return order
            await asyncio.sleep(PAUSE)
        raise Unavailable(f"order {order_id} cannot be read yet")

    async def _repeated(self, order_id: str, command: Command) -> Taken | None:
        """The order that was taken for this request before. Raises NotPossible where that one had another body."""
        known = await self._mesh.last(OrderCreated, order_id)
        if known is None:
            return None
        if known.event.command.body != command.body:
            raise NotPossible("this Idempotency-Key was used before with another body; a new order needs a new key")
        history = await self._mesh.history(order_id, *KINDS)  # may miss what was stored a moment ago
        return Taken(fold(order_id, [known, *history]), known.sequence, repeated=True)

    async def _keep_address(
        self, order_id: str, address_id: str, address: Address, key: PersonalKey | None = None
    ) -> None:
        """Store an address before the event that names it: an order never names one that there is not."""
        kept = OrderDeliveryAddressed(
            order_id=order_id,
            address_id=address_id,
            name=address.name,
            street=address.street,
            postal_code=address.postal_code,
            city=address.city,
            country=address.country,
            email=address.email,
            phone=address.phone,
        )
        await self._mesh.commit([Draft(event=kept, key=key)], Cause(id=address_id, source="orders.address"))


def _stored(created: OrderCreated, at: datetime, sequence: int, region: str) -> Received[OrderCreated]:
    """An order as it was just stored, at about the time of the request."""
    subject = subject_of(region, created)
    return Received(event=created, id="", time=at, stored=at, region=region, sequence=sequence, subject=subject)


def _placed(created: OrderCreated, visitor_id: str) -> OrderPlaced:
    return OrderPlaced(
        order_id=created.order_id,
        visitor_id=visitor_id,
        lines=created.lines,
        total=created.total,
        cart_id=created.cart_id,
        session_id=created.session_id,
        customer_id=created.customer_id,
        coupon=created.coupon,
        by="server",
    )


def _digest(*parts: str) -> str:
    return blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
