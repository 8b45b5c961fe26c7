"""Whether codes are delivered to the service that settles budgets: only where something is reserved of one."""

from mesh import Mesh, Money
from mesh.broker.memory import MemoryMesh
from mesh.events.budget import BudgetReservationChanged
from mesh.events.code import CodeChanged
from notifications.promises.settling import AGAIN, Settling

RESERVED = BudgetReservationChanged(
    offer_id="o1", journey="j", cost=Money(amount=100, currency="EUR"), day="2026-01-01", state="reserved"
)


async def test_codes_are_wanted_from_before_the_first_reservation_on():
    """A process that starts wants none until it stores a reservation; one that starts later wants them at once."""
    mesh, wanted = Mesh(MemoryMesh("us").broker("us"), "offers"), []

    async def want(kinds):
        wanted.append(tuple(kinds))

    first = Settling(mesh, want)
    await first.begin()
    await first.before([CodeChanged(code_id="c", code="c", state="free", discount=None)])
    assert wanted == [()]

    await first.before([RESERVED])
    await first.before([RESERVED])
    assert wanted == [(), (CodeChanged,)]
    await mesh.publish(RESERVED)
    await Settling(mesh, want).begin()
    assert wanted == [(), (CodeChanged,), (CodeChanged,)]


async def test_codes_are_wanted_again_though_another_process_wanted_none():
    """One that started just before the first reservation was stored has narrowed what is delivered to all."""
    mesh, wanted = Mesh(MemoryMesh("us").broker("us"), "offers"), []

    async def want(kinds):
        wanted.append(tuple(kinds))

    settling = Settling(mesh, want)
    await settling.before([RESERVED])
    settling._again_at -= AGAIN
    await settling.before([RESERVED])

    assert wanted == [(CodeChanged,)] * 2
