"""The broker's twin without a server: same contract, same refusals, everything in this process's memory.

    mesh = MemoryMesh("us", "eu")
    broker = mesh.broker("us")
    mesh.cut("eu"); mesh.heal("eu")

What both sides promise is tested side by side in `tests/contract`.
"""

from mesh.broker.memory.broker import MemoryBroker
from mesh.broker.memory.regions import MemoryMesh

__all__ = ["MemoryBroker", "MemoryMesh"]
