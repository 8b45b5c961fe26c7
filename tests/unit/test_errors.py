"""The tree of errors."""

import inspect
from datetime import timedelta

import pytest

from mesh import errors
from mesh.errors import Bury, InvalidKey, MeshError, Outcome, Retry

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_a_mesh_error_and_drawn_in_the_tree(kind):
    """One `except MeshError` catches all, and the module's docstring names each."""
    assert issubclass(kind, MeshError)
    assert kind.__name__ in errors.__doc__


def test_an_invalid_key_is_a_value_error_too():
    """Code that knows nothing of the mesh understands it."""
    assert issubclass(InvalidKey, ValueError)


def test_outcomes_say_what_becomes_of_the_message():
    """`Retry` carries its delay, `Bury` its reason."""
    retry, bury = Retry(after=timedelta(seconds=3)), Bury("no such cart")

    assert (retry.after, str(retry)) == (timedelta(seconds=3), "again in 3 s")
    assert str(Retry("mail server busy")) == "mail server busy"
    assert (bury.reason, str(bury)) == ("no such cart", "no such cart")
    assert all(isinstance(outcome, Outcome) for outcome in (retry, bury))
