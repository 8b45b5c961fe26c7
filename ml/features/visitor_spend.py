"""What the visitor's purchases came to so far, in major units."""

from ml.clickstream.lookback import cents, of, pl, total
from ml.clickstream.steps import cents as hundredths
from ml.features import Feature, formatting

feature = Feature(
    scope="visitor",
    kinds=("purchase",),
    update=lambda spent, step: spent + hundredths(step.price),
    value=lambda spent, _now: spent / 100,
    expression=lambda: total(pl.when(of("purchase")).then(cents("price")).otherwise(0)) / 100,
    describe=lambda value: f"has spent {formatting.money(value)} here" if value else "has spent nothing here",
)
