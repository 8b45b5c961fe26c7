"""Numbers and spans of time as people say them."""


def count(value: float, noun: str) -> str:
    """`1 product`, `3 products`."""
    return f"{value:.0f} {noun}" if round(value) == 1 else f"{value:.0f} {noun}s"


def times(value: float) -> str:
    """`once`, `twice`, `three times`, `12 times`."""
    spoken = {1: "once", 2: "twice", 3: "three times", 4: "four times", 5: "five times"}
    return spoken.get(round(value), f"{value:.0f} times")


def span(seconds: float) -> str:
    """A length of time in its largest unit: `40 seconds`, `12 minutes`, `3 hours`, `2 days`."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return count(seconds // length, unit)
    return count(seconds // 1, "second")


def money(value: float) -> str:
    """An amount in major units; features know no currency."""
    return f"{value:,.2f}"
