"""The price of the product last viewed in the session, in major units; 0 where it had none."""

from ml.clickstream.lookback import newest, of
from ml.features import Feature, formatting

feature = Feature(
    scope="session",
    kinds=("view",),
    begin=0.0,
    update=lambda _, step: step.price,
    expression=lambda: newest("price", of("view"), otherwise=0.0),
    describe=lambda value: (
        f"last looked at something for {formatting.money(value)}" if value else "looked at nothing with a price"
    ),
)
