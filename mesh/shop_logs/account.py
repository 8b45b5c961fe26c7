"""Account: how many rows of a log were read, used and left out, and why."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why `count` rows are concerned, and where the first of them stand."""

    why: str
    count: int
    places: tuple[str, ...]

    def __str__(self) -> str:
        """`2: the time cannot be read (line 3: 'soon', line 9: '-')`."""
        more = ", ..." if self.count > len(self.places) else ""
        return f"{self.count}: {self.why} ({', '.join(self.places)}{more})"


@dataclass(frozen=True, kw_only=True)
class Account:
    """What became of the rows of a file; `notes` are about rows that were used."""

    rows: int
    left_out: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def used(self) -> int:
        """The rows that were not left out."""
        return self.rows - sum(reason.count for reason in self.left_out)

    def lines(self) -> list[str]:
        """The account as text, one line for each thing."""
        first = f"{self.rows} rows read, {self.used} used, {self.rows - self.used} left out"
        return [first, *(f"left out {reason}" for reason in self.left_out), *self.notes]
