"""Session repeats: items of the session at hand that come back.

How likely an item comes back depends on how many other items were seen since, and on whether it came
back before (Anderson, Kumar, Tomkins and Vassilvitskii, "The dynamics of repeat consumption", WWW 2014).
"""

from collections.abc import Sequence
from itertools import islice

LONGEST = 200
"""Steps of a session that are looked at."""
PLACES = 5
"""The last item, the one before, ... and all earlier ones together."""


def own_items(seen: Sequence[int]) -> tuple[list[int], list[bool]]:
    """The distinct items of a session in time order, newest first, and whether each came more than once."""
    times: dict[int, int] = {}
    for item in islice(reversed(seen), LONGEST):
        times[item] = times.get(item, 0) + 1
    return list(times), [count > 1 for count in times.values()]
