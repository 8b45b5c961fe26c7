"""The price of the product last viewed in the session, in major units; 0 where it had none."""

from ml import words
from ml.features import Feature
from ml.lookback import newest, of

feature = Feature(
    scope="session",
    hears=("view",),
    begin=0.0,
    update=lambda _, step: step.price,
    expression=lambda: newest("price", of("view"), otherwise=0.0),
    words=lambda value: (
        f"last looked at something for {words.money(value)}" if value else "looked at nothing with a price"
    ),
)
