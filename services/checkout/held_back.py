"""Which checkouts are held back in a region that was rebuilt: those that were under way, until somebody decides.

Their timers are lost, and what was answered in the region's last moments may stand in no copy: whether a payment was
taken is known to its provider alone.
"""

from datetime import datetime

import msgspec

from mesh import Mesh, Unchanged, settings
from mesh.errors import Conflict
from mesh.events.checkout import CheckoutAdvanced as State
from mesh.events.checkout import CheckoutParked
from mesh.events.order import OrderCreated
from mesh.operations.region_bound import newest
from services.checkout.saga import FINISHED, UNDONE, begun, park
from services.checkout.steps import CheckoutSettings, table


async def checkouts(mesh: Mesh, lost_at: datetime) -> str:
    """Park what was neither finished nor undone, also orders whose checkout had not begun."""
    reason = f"{mesh.region} was lost at {lost_at:%Y-%m-%d %H:%M:%S} UTC: see what the payment's provider has"
    steps = table(settings.read(CheckoutSettings))
    states = await newest(mesh, State, mesh.region)
    created = await newest(mesh, OrderCreated, mesh.region)
    states |= {key: begun(order, steps) for key, order in created.items() if key not in states}
    for state in states.values():
        if state.step not in (FINISHED, UNDONE) and not state.parked:
            await _park(state, reason, mesh)
    count = sum(state.parked == reason for state in (await newest(mesh, State, mesh.region)).values())
    if not count:
        return ""
    return (
        f"{count:,} orders that were under way are parked: `cartmesh orders parked --region {mesh.region}`, and "
        "`resume` for each"
    )


async def _park(state: State, reason: str, mesh: Mesh) -> None:
    last = await mesh.last(State, state.order_id)
    parked = msgspec.structs.replace(park(state, reason), requested=None, limit=None, timer=None)
    told = CheckoutParked(order_id=state.order_id, step=state.step, reason=reason)
    try:
        await mesh.publish(parked, Unchanged(State, state.order_id, last.sequence if last else 0), told)
    except Conflict:  # a run of this command that was given before stored it
        return
