"""Settings from the environment."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import DeclarationError
from mesh.settings import Secret, duration, read


class Shop(msgspec.Struct, frozen=True):
    port: int = 8000
    quiet: bool = False
    rate: float = 0.5
    origins: tuple[str, ...] = ()
    abandon_after: timedelta = timedelta(minutes=30)
    grace: timedelta | None = None
    name: str | None = None


def test_without_an_environment_every_default_holds():
    """A laptop needs no settings."""
    assert read(Shop, {}) == Shop()


def test_each_field_is_read_from_its_variable():
    """`CARTMESH_<FIELD>`, converted to the field's type."""
    environment = {
        "CARTMESH_PORT": "9000",
        "CARTMESH_QUIET": "true",
        "CARTMESH_RATE": "0.25",
        "CARTMESH_ORIGINS": "https://a.test, https://b.test,",
        "CARTMESH_ABANDON_AFTER": "150ms",
        "CARTMESH_GRACE": "2h",
        "CARTMESH_NAME": "12",
        "CARTMESH_UNKNOWN": "ignored",
        "PORT": "1",
    }

    assert read(Shop, environment) == Shop(
        port=9000,
        quiet=True,
        rate=0.25,
        origins=("https://a.test", "https://b.test"),
        abandon_after=timedelta(milliseconds=150),
        grace=timedelta(hours=2),
        name="12",
    )


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("CARTMESH_PORT", "many"),
        ("CARTMESH_PORT", "1.5"),
        ("CARTMESH_PORT", ""),
        ("CARTMESH_QUIET", "perhaps"),
        ("CARTMESH_ABANDON_AFTER", "30"),
        ("CARTMESH_ABANDON_AFTER", "half an hour"),
        ("CARTMESH_ABANDON_AFTER", "-5m"),
        ("CARTMESH_GRACE", "1w"),
    ],
)
def test_a_wrong_value_names_its_variable(variable, text):
    """The message says which variable is wrong and shows it."""
    with pytest.raises(DeclarationError, match=rf"{variable}={text!r}"):
        read(Shop, {variable: text})


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    secret: Secret
    secret_before: Secret | None = None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "is not set"),
        ("", "is not set"),
        ("short", "has 5 characters"),
        ("cartmesh-on-a-laptop", "has a value that stands in Cartmesh's source"),
    ],
)
def test_a_secret_that_anybody_could_know_is_refused(given, reason):
    """There is no default to forge with. The message says what to do, and does not show the value."""
    with pytest.raises(DeclarationError, match=f"CARTMESH_SECRET {reason}: it must be a random text") as raised:
        read(Sealed, {} if given is None else {"CARTMESH_SECRET": given})

    assert given != "short" or given not in str(raised.value)


def test_a_secret_from_before_may_be_absent_and_not_be_known_to_all():
    """What was sealed with a value that stands in the source would be open to everybody for good."""
    good = {"CARTMESH_SECRET": "s" * 32}

    assert read(Sealed, good | {"CARTMESH_SECRET_BEFORE": ""}) == Sealed(secret="s" * 32)
    assert read(Sealed, good | {"CARTMESH_SECRET_BEFORE": "b" * 16}).secret_before == "b" * 16
    with pytest.raises(DeclarationError, match="CARTMESH_SECRET_BEFORE has a value"):
        read(Sealed, good | {"CARTMESH_SECRET_BEFORE": "cartmesh-on-a-laptop"})


def test_what_has_no_default_must_be_set():
    """The message names the variable."""

    class Bound(msgspec.Struct, frozen=True):
        host: str

    with pytest.raises(DeclarationError, match="CARTMESH_HOST is not set"):
        read(Bound, {})


@given(st.integers(0, 10_000), st.sampled_from([("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)]))
def test_durations_are_a_number_and_a_unit(count, unit):
    """`30m` is thirty minutes."""
    name, milliseconds = unit

    assert duration(f"{count}{name}") == timedelta(milliseconds=count * milliseconds)


@given(st.text())
def test_any_other_duration_is_a_value_error(text):
    """Whatever is no duration is refused with a ValueError, never anything else."""
    try:
        found = duration(text)
    except ValueError:
        return
    assert isinstance(found, timedelta)
