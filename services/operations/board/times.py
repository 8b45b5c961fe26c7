"""Times: when a thing counts as happened."""

from mesh import Received


def happened(received: Received) -> float:
    """Epoch seconds at which an event happened; a storefront's clock that runs ahead is not believed."""
    return min(received.time, received.stored).timestamp()
