"""An example: a stamp for every confirmed order of five euros or more. Change it, and it runs a second later."""

from mesh.events.order import OrderConfirmed
from mesh.function import Context, Emit, function


@function(on=OrderConfirmed, publishes=("stamp.given",))
def give_stamp(confirmed: OrderConfirmed, context: Context) -> Emit | None:
    """A stamp for each order, worth one for every whole unit of the currency."""
    worth = int(confirmed.total.decimal())
    context.log.info("order %s is worth %d", confirmed.order_id, worth)
    return Emit("stamp.given", key=confirmed.order_id, data={"worth": worth}) if worth >= 5 else None
