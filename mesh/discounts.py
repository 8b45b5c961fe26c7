"""Discounts: what a code takes off an amount."""

from mesh.events.code import Discount
from mesh.money import Money


def taken_off(discount: Discount, total: Money) -> Money:
    """What comes off a total: never more than all of it, and 0 where the discount has no amount or bound in its money.

    What is shipped or given away for nothing takes nothing off the lines.
    """
    match discount.kind:
        case "percentage":
            amount = total.amount - (total.amount * (100 - discount.percent) + 50) // 100
            if discount.at_most and discount.at_most.currency == total.currency:
                amount = min(amount, discount.at_most.amount)
            elif discount.at_most:
                amount = 0
        case "amount":
            amount = next((one.amount for one in discount.amounts if one.currency == total.currency), 0)
        case _:
            amount = 0
    return Money(amount=max(0, min(amount, total.amount)), currency=total.currency)
