"""Commands: what a merchant does with stock: receive, adjust, count, transfer. Each once, by its id."""

from typing import Annotated

import msgspec

from mesh import Unchanged
from mesh.errors import InvalidField, MeshError
from mesh.events.stock import CommandKind, StockCommandApplied, StockLevelChanged
from mesh.vocabulary import Token
from services.stock import level as levels
from services.stock.working_copy import WorkingCopy
from services.stock.writer import StockWriter

MOST = 1_000_000_000
Quantity = Annotated[int, msgspec.Meta(ge=-MOST, le=MOST)]


class CommandReused(MeshError):
    """Another command was given under this id before."""


class StockCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command as it is sent. `id` is the sender's: sent again under the same id it changes nothing.

    `quantity` is how many units are received or transferred, how many there are (`count`), or by how many there are
    more or, negative, fewer (`adjust`).
    """

    id: Token
    sku: Token
    warehouse: Token
    quantity: Quantity
    to_warehouse: Token | None = None
    reason: Annotated[str, msgspec.Meta(max_length=512)] = ""


class CommandOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command: the level as it is now; `repeated`: it was applied before."""

    level: StockLevelChanged
    repeated: bool = False


async def apply(writer: StockWriter, kind: CommandKind, command: StockCommand) -> CommandOutcome:
    """Apply a command to the region's stock.

    Raises InvalidField, NotEnough where units are not there or are reserved, CommandReused, and Unavailable.
    """
    check(kind, command)
    made: list[CommandOutcome] = []

    async def applied(_: bool) -> WorkingCopy | None:
        made.clear()
        known = await writer.levels([command.sku], careful=True)
        copy = WorkingCopy(known, {})
        before = copy.level(command.sku)
        earlier = await writer.mesh.last(StockCommandApplied, command.id)
        if earlier is not None:
            if not _same(earlier.event, kind, command):
                raise CommandReused(f"another command was applied under the id {command.id}: choose one of its own")
            made.append(CommandOutcome(level=before, repeated=True))
            return None
        after = changed(before, kind, command)
        copy.change_level(after)
        copy.add(_event(kind, command, after.on_hand - before.on_hand), Unchanged(StockCommandApplied, command.id, 0))
        made.append(CommandOutcome(level=after))
        return copy

    await writer.commit(applied, writer.cause("apply-command", command.id))
    return made[0]


def check(kind: CommandKind, command: StockCommand) -> None:
    """Raises InvalidField for what no level could make right."""
    if kind in ("receive", "transfer") and command.quantity < 1:
        raise InvalidField("$.quantity", f"{kind} takes 1 unit or more, not {command.quantity}")
    if kind == "count" and command.quantity < 0:
        raise InvalidField("$.quantity", f"nobody counts {command.quantity} units")
    if kind == "adjust" and command.quantity == 0:
        raise InvalidField("$.quantity", "an adjustment by 0 units changes nothing")
    if (kind == "transfer") != (command.to_warehouse is not None):
        raise InvalidField("$.to_warehouse", "a transfer has a second warehouse, and only a transfer")
    if command.to_warehouse == command.warehouse:
        raise InvalidField("$.to_warehouse", "units are in that warehouse already")


def changed(level: StockLevelChanged, kind: CommandKind, command: StockCommand) -> StockLevelChanged:
    """The level after a command. Raises NotEnough."""
    match kind:
        case "receive":
            return levels.received(level, command.warehouse, command.quantity, "received", command.id)
        case "adjust":
            return levels.received(level, command.warehouse, command.quantity, "adjusted", command.id)
        case "count":
            difference = command.quantity - levels.on_hand_in(level, command.warehouse)
            return levels.received(level, command.warehouse, difference, "counted", command.id)
        case "transfer":
            end = command.to_warehouse or command.warehouse
            return levels.transferred(level, command.warehouse, end, command.quantity, command.id)


def _event(kind: CommandKind, command: StockCommand, change: int) -> StockCommandApplied:
    return StockCommandApplied(
        command_id=command.id,
        command=kind,
        sku=command.sku,
        warehouse=command.warehouse,
        quantity=command.quantity,
        change=change,
        to_warehouse=command.to_warehouse,
        reason=command.reason,
    )


def _same(applied: StockCommandApplied, kind: CommandKind, command: StockCommand) -> bool:
    return applied == _event(kind, command, applied.change)
