"""Extras: libraries that only some installations have; where one is missing, the error names the extra to install."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from mesh.errors import DeclarationError

MODULES = {"aws": "botocore", "kafka": "aiokafka", "rabbitmq": "aio_pika"}
"""Extra of the package `cartmesh` -> the module that it brings."""


def missing(extra: str) -> str | None:
    """What to do where an extra is not installed; None where it is."""
    if find_spec(MODULES[extra]) is not None:
        return None
    return f"the extra {extra} is not installed: pip install 'cartmesh[{extra}]'"


def load(extra: str, inner: str = "") -> ModuleType:
    """The module of an extra, or one inside of it. Raises DeclarationError where it is not installed."""
    if reason := missing(extra):
        raise DeclarationError(reason)
    return import_module(f"{MODULES[extra]}.{inner}" if inner else MODULES[extra])
