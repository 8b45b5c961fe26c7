"""Code state: what becomes of a code when it is asked for, or when a time is over. Pure functions.

The home of a code decides one request after another: each is stored on condition that the state is the one it was
decided on. So of two orders that ask at the same moment, in whichever regions, one has the code.
"""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from mesh.events.code import CodeAction, CodeChanged, CodeHolder, CodeOutcome
from mesh.money import Money

HELD = ("reserved", "redeemed")


@dataclass(frozen=True, kw_only=True)
class CodeRequest:
    """Somebody asks for a code: an order or cart in a region. `place` is its sequence there, 0 for one over HTTP."""

    action: CodeAction
    order_id: str
    region: str
    until: datetime
    place: int = 0
    customer_id: str | None = None
    amount: Money | None = None


@dataclass(frozen=True)
class Verdict:
    """What is answered, and the code's new state where it changes. `reason` is for the log, never for who asks."""

    outcome: CodeOutcome
    changed: CodeChanged | None = None
    reason: str = ""


def decide(code: CodeChanged | None, asked: CodeRequest, now: datetime) -> Verdict:
    """What becomes of a request. The same request again changes nothing."""
    if code is None:
        return Verdict("refused", reason="unknown")
    if code.customer_id is not None and asked.customer_id not in (None, code.customer_id):
        return Verdict("refused", reason="another customer's")
    if _overtaken(code, asked):
        return Verdict(_now(code, asked), reason="overtaken by a later request")
    match asked.action:
        case "reserve":
            return _reserve(code, asked, now)
        case "redeem":
            return _redeem(code, asked, now)
        case "release":
            return _release(code, asked, now)


def reservation_over(code: CodeChanged | None, until: datetime, now: datetime) -> CodeChanged | None:
    """The code after a reservation that was to end at `until`; None where that one has ended, or was made longer."""
    if code is None or code.state != "reserved" or code.holder is None or code.holder.until != until:
        return None
    return _given_back(code, now, "the reservation was over")


def expired(code: CodeChanged | None, now: datetime) -> CodeChanged | None:
    """The code once its time is over; None where somebody holds it: then it expires when it is given back."""
    if code is None or code.state != "free" or not _is_over(code, now):
        return None
    return _with(code, state="expired", reason="not redeemed in time")


def withdrawn(code: CodeChanged | None, reason: str) -> CodeChanged | None:
    """The code after its offer was withdrawn; None where somebody has it, or nobody can have it any more."""
    return _with(code, state="withdrawn", reason=reason) if code and code.state == "free" else None


def _reserve(code: CodeChanged, asked: CodeRequest, now: datetime) -> Verdict:
    if _holds(code, asked):
        longer = code.state == "reserved" and code.holder and code.holder.until and asked.until > code.holder.until
        outcome: CodeOutcome = "redeemed" if code.state == "redeemed" else "reserved"
        return Verdict(outcome, _held(code, "reserved", asked) if longer else None)
    if problem := _problem(code, now):
        return Verdict("refused", reason=problem)
    return Verdict("reserved", _held(code, "reserved", asked))


def _redeem(code: CodeChanged, asked: CodeRequest, now: datetime) -> Verdict:
    """A reservation that is over is made again, if nobody else has the code by now."""
    if _holds(code, asked):
        return Verdict("redeemed", None if code.state == "redeemed" else _held(code, "redeemed", asked))
    if problem := _problem(code, now):
        return Verdict("refused", reason=problem)
    return Verdict("redeemed", _held(code, "redeemed", asked))


def _release(code: CodeChanged, asked: CodeRequest, now: datetime) -> Verdict:
    """A code that was redeemed is given back, too: its order was cancelled."""
    if _holds(code, asked):
        return Verdict("released", _given_back(code, now, "given back", place=asked.place))
    if _had(code, asked):
        return Verdict("released")
    if asked.place and code.state not in HELD:  # it overtook the request to reserve, which is void then
        return Verdict("released", _with(code, holder=_holder(code, asked, None)))
    return Verdict("refused", reason="another order's")


def _problem(code: CodeChanged, now: datetime) -> str:
    if code.state != "free":
        return code.state
    return "expired" if _is_over(code, now) else ""


def _had(code: CodeChanged, asked: CodeRequest) -> bool:
    """Whether this order has the code, or was the last that had it."""
    return code.holder is not None and (code.holder.order_id, code.holder.region) == (asked.order_id, asked.region)


def _holds(code: CodeChanged, asked: CodeRequest) -> bool:
    return code.state in HELD and _had(code, asked)


def _overtaken(code: CodeChanged, asked: CodeRequest) -> bool:
    return bool(_had(code, asked) and code.holder and 0 < asked.place <= code.holder.place)


def _now(code: CodeChanged, asked: CodeRequest) -> CodeOutcome:
    if not _holds(code, asked):
        return "released"
    return "redeemed" if code.state == "redeemed" else "reserved"


def _held(code: CodeChanged, state: str, asked: CodeRequest) -> CodeChanged:
    return _with(
        code, state=state, holder=_holder(code, asked, asked.until if state == "reserved" else None), reason=""
    )


def _holder(code: CodeChanged, asked: CodeRequest, until: datetime | None) -> CodeHolder:
    before = code.holder if _had(code, asked) else None
    return CodeHolder(
        order_id=asked.order_id,
        region=asked.region,
        place=max(asked.place, before.place if before else 0),
        until=until,
        customer_id=asked.customer_id or (before.customer_id if before else None),
        amount=asked.amount or (before.amount if before else None),
    )


def _given_back(code: CodeChanged, now: datetime, reason: str, *, place: int = 0) -> CodeChanged:
    over = _is_over(code, now)
    holder = code.holder and msgspec.structs.replace(code.holder, until=None, place=max(place, code.holder.place))
    return _with(code, state="expired" if over else "free", holder=holder, reason=reason)


def _is_over(code: CodeChanged, now: datetime) -> bool:
    return code.expires is not None and code.expires <= now


def _with(code: CodeChanged, **changes: object) -> CodeChanged:
    return msgspec.structs.replace(code, before=code.state, **changes)
