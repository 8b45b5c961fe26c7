"""Reservations: what becomes of a request, a release, a sale or the end of a reservation. Pure functions.

Each request has a place in the stream. One that stands before the last that its order's reservation answered was
answered already, or overtaken, and changes nothing: so a second delivery changes nothing, in whatever order.
"""

from mesh import Received, Timer
from mesh.event import key_of
from mesh.events.stock import (
    MovementKind,
    Outcome,
    StockLevelChanged,
    StockLine,
    StockReleaseRequested,
    StockReservationChanged,
    StockReservationExpired,
    StockReservationPostponed,
    StockReservationRequested,
    StockSaleRequested,
    StockShortage,
    StockTaken,
)
from mesh.timers import Cancel
from services.stock import level as levels
from services.stock.borrowing import Borrowing
from services.stock.requests import Asked, Request, asked, problem_of, summed
from services.stock.working_copy import WorkingCopy


def decide(received: Received[Request], copy: WorkingCopy, borrowing: Borrowing, requested: Asked | None) -> None:
    """Decide one request in a working copy. `requested` is the order's request, which a sale without a state needs."""
    request = received.event
    state = copy.reservation(request.order_id)
    match request:
        case StockReservationRequested() | StockReservationPostponed():
            _reserve(asked(request, received), state, copy, borrowing)
        case StockReservationExpired():
            if state and state.outcome == "reserved" and state.answers == request.request_id:
                _give_back(state, "expired", copy, answers=state.answers, sequence=state.request_sequence, reason="")
        case StockReleaseRequested() if state is None or received.sequence > state.request_sequence:
            _release(request, received, state, copy)
        case StockSaleRequested() if state is None or received.sequence > state.request_sequence:
            _sell(received, state, copy, requested)


def _reserve(request: Asked, state: StockReservationChanged | None, copy: WorkingCopy, borrowing: Borrowing) -> None:
    if state and (state.outcome in ("reserved", "sold") or request.sequence <= state.request_sequence):
        return
    before = state.outcome if state else None
    lines = summed(request.lines)
    problem = problem_of(request.lines)
    if not problem and request.until <= borrowing.now:
        problem = "the time until which it was to hold is over"
    short = () if problem else shortages(lines, copy)
    if short and borrowing.worth_waiting(short, copy, request.at):
        again = StockReservationPostponed(
            order_id=request.order_id,
            lines=request.lines,
            until=request.until,
            request_id=request.id,
            request_sequence=request.sequence,
            requested_at=request.at,
        )
        copy.add(Timer(again, borrowing.now + borrowing.settings.stock_loan_pause))
        return
    taken = () if problem or short else take(lines, copy, request.order_id)
    copy.change_reservation(
        StockReservationChanged(
            order_id=request.order_id,
            outcome="reserved" if taken else "refused",
            lines=() if problem else lines,
            taken=taken,
            answers=request.id,
            request_sequence=request.sequence,
            before=before,
            until=request.until if taken else None,
            short=short,
            reason=problem or _reason(short),
        )
    )
    if taken:
        copy.add(Timer(StockReservationExpired(order_id=request.order_id, request_id=request.id), request.until))


def _release(
    request: StockReleaseRequested, received: Received, state: StockReservationChanged | None, copy: WorkingCopy
) -> None:
    """What is reserved is given back. Without a reservation that is published, too, and an earlier request is void."""
    match state.outcome if state else None:
        case "sold" | "released":
            return
        case "reserved" if state:
            _give_back(
                state, "released", copy, answers=received.id, sequence=received.sequence, reason=request.reason[:512]
            )
            copy.add(Cancel(StockReservationExpired, request.order_id))
        case before:
            released = StockReservationChanged(
                order_id=request.order_id,
                outcome="released",
                lines=state.lines if state else (),
                taken=(),
                answers=received.id,
                request_sequence=received.sequence,
                before=before,
                reason=request.reason[:512],
            )
            copy.change_reservation(released)


def _sell(
    received: Received,
    state: StockReservationChanged | None,
    copy: WorkingCopy,
    requested: Asked | None,
) -> None:
    """What is reserved is sold; what has expired, was refused or is not decided yet, if there is enough of it now."""
    order_id = key_of(received.event)
    before = state.outcome if state else None
    if before == "sold":
        return
    lines = state.lines if state else summed(requested.lines) if requested else ()
    taken, problem = (state.taken if state and before == "reserved" else ()), ""
    short: tuple[StockShortage, ...] = ()
    if before == "released":
        problem = "it was released before"
    elif not taken and (problem := problem_of(lines) if lines else "no reservation was requested") == "":
        short = shortages(lines, copy)
        taken = () if short else take(lines, copy, order_id)
    for sku, units in by_sku(taken).items():
        copy.change_level(levels.sold(copy.level(sku), units, order_id))
    copy.change_reservation(
        StockReservationChanged(
            order_id=order_id,
            outcome="sold" if taken else "refused",
            lines=lines,
            taken=taken,
            answers=received.id,
            request_sequence=received.sequence,
            before=before,
            short=short,
            reason=problem or _reason(short),
        )
    )
    if taken:
        copy.add(Cancel(StockReservationExpired, order_id))


def _give_back(
    state: StockReservationChanged, outcome: Outcome, copy: WorkingCopy, *, answers: str, sequence: int, reason: str
) -> None:
    kind: MovementKind = "expired" if outcome == "expired" else "released"
    for sku, units in by_sku(state.taken).items():
        copy.change_level(levels.given_back(copy.level(sku), units, kind, state.order_id))
    copy.change_reservation(
        StockReservationChanged(
            order_id=state.order_id,
            outcome=outcome,
            lines=state.lines,
            taken=state.taken,
            answers=answers,
            request_sequence=sequence,
            before=state.outcome,
            reason=reason,
        )
    )


def shortages(lines: tuple[StockLine, ...], copy: WorkingCopy) -> tuple[StockShortage, ...]:
    """The SKUs of which there are too few to sell."""
    found = ((line, copy.level(line.sku).available) for line in lines)
    return tuple(
        StockShortage(sku=line.sku, wanted=line.quantity, available=available)
        for line, available in found
        if available < line.quantity
    )


def take(lines: tuple[StockLine, ...], copy: WorkingCopy, order_id: str) -> tuple[StockTaken, ...]:
    """Reserve lines, of which there are enough; from which warehouses."""
    taken: list[StockTaken] = []
    for line in lines:
        level: StockLevelChanged = copy.level(line.sku)
        units = levels.choose(level, line.quantity)
        copy.change_level(levels.reserved(level, units, order_id))
        taken.extend(units)
    return tuple(taken)


def by_sku(taken: tuple[StockTaken, ...]) -> dict[str, list[StockTaken]]:
    """Units by SKU."""
    found: dict[str, list[StockTaken]] = {}
    for one in taken:
        found.setdefault(one.sku, []).append(one)
    return found


def _reason(short: tuple[StockShortage, ...]) -> str:
    return f"not enough of {', '.join(one.sku for one in short[:10])}" if short else ""
