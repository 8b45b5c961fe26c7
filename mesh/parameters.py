"""Parameters of handlers: what each is annotated with, and the arguments that fill them."""

import inspect
from collections.abc import Callable
from types import SimpleNamespace, UnionType
from typing import Any, get_origin, get_type_hints

from mesh.errors import DeclarationError


def first_parameter(handler: Callable[..., Any], service: str) -> Any:
    """The annotated type of a handler's first parameter; DeclarationError where it has none."""
    hints = _parameter_hints(handler)
    names = list(inspect.signature(handler).parameters)
    if not names or names[0] not in hints:
        raise DeclarationError(f"{service}.{handler.__name__}: annotate its first parameter with what it takes")
    return hints[names[0]]


def _parameter_hints(handler: Callable[..., Any], *, skip: int = 0) -> dict[str, Any]:
    """The types of the parameters behind the first `skip`.

    Those of the others and of what is returned may only be imported for type checkers.
    """
    left_out = {*list(inspect.signature(handler).parameters)[:skip], "return"}
    annotated = {name: hint for name, hint in inspect.get_annotations(handler).items() if name not in left_out}
    shim = SimpleNamespace(__annotations__=annotated)
    return get_type_hints(shim, globalns=getattr(handler, "__globals__", {}))


def parameters(handler: Callable[..., Any], *, skip: int = 1) -> dict[str, Any]:
    """The annotated types of a handler's parameters behind the first `skip`; None where one has none."""
    hints = _parameter_hints(handler, skip=skip)
    names = list(inspect.signature(handler).parameters)[skip:]
    return {name: _provided_as(hints.get(name)) for name in names}


def _provided_as(hint: Any) -> Any:
    """By what a parameter is found: `Received` for `Received[CartIdle]`, and `Carts | None` as it is."""
    return hint if isinstance(hint, UnionType) else get_origin(hint) or hint


def fill(handler: Callable[..., Any], provided: dict[type, Any], *, skip: int = 1) -> dict[str, Any]:
    """Keyword arguments for a handler's parameters behind the first `skip`, by annotated type.

    DeclarationError names the parameter that nobody provides.
    """
    filled = {}
    for name, wanted in parameters(handler, skip=skip).items():
        if wanted not in provided:
            given = ", ".join(sorted(getattr(kind, "__name__", str(kind)) for kind in provided))
            raise DeclarationError(f"{handler.__name__}({name}: {wanted}): nothing provides that; there is {given}")
        filled[name] = provided[wanted]
    return filled
