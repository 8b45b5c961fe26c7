"""The command `cartmesh journeys rate`: how fast audiences are decided on this machine."""

import json


def audience_rate(*, journeys: int = 1_000, conditions: int = 100, seconds: float = 3.0, seed: int = 1) -> None:
    """Print, as JSON, how many carts a second one core decides on for made-up journeys with many conditions each.

    Parameters
    ----------
    journeys
        How many there are.
    conditions
        Of each: half of them must all be met, the others one in each group of five.
    seconds
        For how long it is measured, in CPU time of this process.
    seed
        Of the random journeys and carts.

    """
    from notifications.conditions.rate import measured  # noqa: PLC0415  other commands go without

    print(json.dumps(measured(journeys=journeys, conditions=conditions, seconds=seconds, seed=seed)))
