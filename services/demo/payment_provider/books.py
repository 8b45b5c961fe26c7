"""Books: every charge of the sandbox provider, and what was answered under each idempotency key. Kept in a file."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Literal

import msgspec

RECORD = "charges.jsonl"
Verb = Literal["authorise", "capture", "void", "refund", "dispute", "win"]

DECLINED = {
    "card_declined": "card_declined",
    "card_insufficient": "insufficient_funds",
    "card_expired": "expired_card",
    "card_stolen": "stolen_card",
}
"""Methods that are always declined, and why. Every other method is accepted."""


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """What the card's bank took back of a charge, in minor units, and why; `won`: the shop has it again."""

    id: str
    amount: int
    reason: str
    won: bool = False


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """An amount on somebody's card, in minor units; `reference`, `order` and `region` are the shop's."""

    id: str
    reference: str
    order: str
    region: str
    currency: str
    created: datetime
    authorised: int = 0
    captured: int = 0
    released: int = 0
    refunded: int = 0
    declined: str | None = None
    disputes: tuple[Dispute, ...] = ()

    @property
    def held(self) -> int:
        """What is held and not charged."""
        return self.authorised - self.captured - self.released

    @property
    def kept(self) -> int:
        """What the shop has of it: charged, and not paid back or taken back by the bank."""
        return self.captured - self.refunded - sum(one.amount for one in self.disputes if not one.won)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the books: under `key` this was asked (`digest`), and the charge was so then."""

    key: str
    digest: str
    verb: Verb
    charge: Charge


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a new charge is asked with."""

    reference: str
    order: str
    region: str
    amount: int
    currency: str
    method: str


class Impossible(Exception):
    """What was asked cannot be done with this charge. Nothing was booked."""


class OtherRequest(Exception):
    """The key was used before for another request."""


class Books:
    """The charges, by id; each change is a line in the file before it is answered."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / RECORD
        self._charges: dict[str, Charge] = {}
        self._answers: dict[str, Entry] = {}
        for line in path.read_bytes().splitlines() if path.exists() else ():
            self._remember(msgspec.json.decode(line, type=Entry))
        self._file = path.open("ab")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __iter__(self) -> Iterator[Charge]:
        return iter(self._charges.values())

    def get(self, id_: str) -> Charge | None:
        """A charge, or None."""
        return self._charges.get(id_)

    def answered(self, key: str, digest: str) -> Entry | None:
        """What was answered under a key; None where it is new. Raises OtherRequest where it was another request."""
        entry = self._answers.get(key)
        if entry and entry.digest != digest:
            raise OtherRequest("this idempotency key was used with another request")
        return entry

    def authorise(self, order: Order, key: str, digest: str) -> Entry:
        """Hold an amount, or decline. Raises Impossible."""
        if order.amount <= 0:
            raise Impossible("the amount must be above zero")
        reason = DECLINED.get(order.method)
        charge = Charge(
            id=f"ch_{token_hex(12)}",
            reference=order.reference,
            order=order.order,
            region=order.region,
            currency=order.currency,
            created=datetime.now(UTC),
            authorised=0 if reason else order.amount,
            declined=reason,
        )
        return self._book("authorise", charge, key, digest)

    def change(self, verb: Verb, charge: Charge, amount: int, key: str, digest: str, reason: str = "") -> Entry:
        """Capture, void or refund; as the card's bank, dispute what is kept, or let the shop win. Raises Impossible.

        `reason` is that of a dispute.
        """
        changed = msgspec.structs.replace
        match verb:
            case "capture" if 0 < amount <= charge.held and not charge.captured:
                after = changed(charge, captured=amount, released=charge.authorised - amount)
            case "void" if charge.held > 0:
                after = changed(charge, released=charge.authorised - charge.captured)
            case "refund" if 0 < amount <= charge.kept:
                after = changed(charge, refunded=charge.refunded + amount)
            case "dispute" if 0 < (amount or charge.kept) <= charge.kept:
                opened = Dispute(id=f"dp_{token_hex(12)}", amount=amount or charge.kept, reason=reason or "fraudulent")
                after = changed(charge, disputes=(*charge.disputes, opened))
            case "win" if charge.disputes and not charge.disputes[-1].won:
                after = changed(charge, disputes=(*charge.disputes[:-1], changed(charge.disputes[-1], won=True)))
            case _:
                raise Impossible(
                    f"cannot {verb} {amount or ''}: held {charge.held}, captured {charge.captured}, "
                    f"refunded {charge.refunded}"
                )
        return self._book(verb, after, key, digest)

    def _book(self, verb: Verb, charge: Charge, key: str, digest: str) -> Entry:
        entry = Entry(key=key, digest=digest, verb=verb, charge=charge)
        self._file.write(msgspec.json.encode(entry) + b"\n")
        self._file.flush()
        self._remember(entry)
        return entry

    def _remember(self, entry: Entry) -> None:
        self._charges[entry.charge.id] = entry.charge
        self._answers[entry.key] = entry
