"""The auditor on a log that grows while it is read."""

import heapq
from datetime import UTC, datetime, timedelta

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.event import declaration_of
from mesh.events.stock import StockLine, StockReservationChanged, StockReservationRequested, StockSaleRequested
from mesh.subjects import matches, subject
from services.stock.auditor import Auditor
from services.stock.commands import StockCommand, apply
from services.stock.stock_settings import StockSettings
from services.stock.writer import StockWriter


async def test_what_is_stored_while_the_log_is_read_is_no_contradiction(monkeypatch):
    """A server answers for each pattern at its own moment; a sale in between is seen whole, now or at the next look."""
    mesh = Mesh(MemoryMesh("us").broker("us"), "stock")
    writer, auditor, whole = StockWriter(mesh, StockSettings()), Auditor(mesh), mesh.broker.read
    await apply(writer, "receive", StockCommand(id="r1", sku="tea", warehouse="w1", quantity=5))
    lines, until = (StockLine(sku="tea", quantity=2),), datetime.now(UTC) + timedelta(hours=1)

    reservation = subject("us", declaration_of(StockReservationChanged), "o1")

    async def sell(order_id):
        for asked in (
            StockReservationRequested(order_id=order_id, lines=lines, until=until),
            StockSaleRequested(order_id=order_id),
        ):
            await mesh.publish(asked)
            await writer.decide([await mesh.last(type(asked), order_id)])

    async def growing(stream, patterns, *, after=0):
        parts = []
        for pattern in patterns:
            parts.append([one async for one in whole(stream, [pattern], after=after)])
            if matches(pattern, reservation) and not await mesh.last(StockReservationChanged, "o1"):
                await sell("o1")
        for one in heapq.merge(*parts, key=lambda message: message.sequence):
            yield one

    monkeypatch.setattr(mesh.broker, "read", growing)
    looks = [await auditor.look(), await auditor.look()]

    assert looks == [(), ()]
    assert [(one.happened.sold, one.on_hand) for one in auditor.report().skus] == [(2, 3)]
