"""Margins: what is left of revenue when the goods are paid and the discounts given, as sums of an experiment."""

import msgspec

from notifications.exact_sums import Figures
from notifications.experiments.effect import Sums
from notifications.experiments.participant import DISCOUNT, REVENUE


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """The share of a price, 0 to 1, that is left when the goods are paid: a journey's `margin_percent`."""

    share: float

    def sums(self, figures: Figures, arm: str, currency: str, n: int) -> Sums:
        """The margin of an arm (`stratum/arm/grade`) in minor units, of `n` participants.

        Of an order that was paid with `r` after a discount of `d` the goods cost (1 - share) (r + d), so that
        share (r + d) - d is left. Revenue from before is what is known of shoppers, as for revenue.
        """
        revenue, discount = f"{arm}/{REVENUE}{currency}", f"{arm}/{DISCOUNT}{currency}"

        def kept(of_revenue: str, of_discount: str) -> float:
            return self.share * figures.get(of_revenue, 0) - (1 - self.share) * figures.get(of_discount, 0)

        squares = (
            self.share**2 * figures.get(f"{revenue}/yy", 0)
            - 2 * self.share * (1 - self.share) * figures.get(f"{discount}/ry", 0)
            + (1 - self.share) ** 2 * figures.get(f"{discount}/yy", 0)
        )
        return Sums(
            n=n,
            y=kept(f"{revenue}/y", f"{discount}/y"),
            yy=squares,
            x=figures.get(f"{revenue}/x", 0),
            xx=figures.get(f"{revenue}/xx", 0),
            xy=kept(f"{revenue}/xy", f"{discount}/xy"),
        )


def currencies_of(figures: Figures, grade: str) -> list[str]:
    """The currencies that somebody paid with."""
    found = (name.split("/") for name in figures if f"/{grade}/{REVENUE}" in name)
    return sorted({parts[3].removeprefix(REVENUE) for parts in found})
