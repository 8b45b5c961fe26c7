"""The life of a model."""

from mesh.event import Event, event


@event(key="model")
class ModelPromoted(Event):
    """A model version became the one that serves. `reason` says why it was better."""

    model: str
    version: str
    reason: str
