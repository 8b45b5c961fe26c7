"""Style: how a log writes dates and prices, where the file alone does not decide it."""

from dataclasses import dataclass
from typing import Literal

from mesh.errors import MeshError

DateOrder = Literal["day-first", "month-first"]
DecimalSign = Literal["comma", "point"]


class UnreadableLog(MeshError, ValueError):
    """A file that cannot be read as a shop's log; says where and why."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How dates and prices are written in a log.

    Parameters
    ----------
    dates
        day-first or month-first, for dates such as 01/10/2019; needed where no date of the file decides it.
    decimal
        comma or point, for prices such as 1,299; needed where no price of the file decides it.
    """

    dates: DateOrder | None = None
    decimal: DecimalSign | None = None
