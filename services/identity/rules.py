"""Rules: what an identification from outside must be."""

from functools import cache, lru_cache
from zoneinfo import available_timezones

from mesh.errors import InvalidField
from mesh.events.customer import CustomerIdentified


def check(known: CustomerIdentified) -> None:
    """Raise InvalidField for an address that nobody can write to, or a zone or locale that there is not."""
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415  only who takes requests needs it

    if known.email is None:
        raise InvalidField("$.email", "required: an e-mail address such as ada@example.com")
    try:
        # The domain `test` (RFC 2606) is what trials and demonstrations write to.
        validate_email(known.email, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise InvalidField("$.email", "not an e-mail address such as ada@example.com") from None
    if known.time_zone is not None and known.time_zone not in _zones():
        raise InvalidField("$.time_zone", f"{known.time_zone[:40]!r} is no IANA time zone such as Europe/Berlin")
    if known.locale is not None and not _is_locale(known.locale):
        raise InvalidField("$.locale", f"{known.locale[:40]!r} is no locale such as de-DE")


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=1024)
def _is_locale(text: str) -> bool:
    from babel import Locale, UnknownLocaleError  # noqa: PLC0415  babel takes 50 ms that only the host spends

    try:
        Locale.parse(text.replace("-", "_"))
    except (ValueError, TypeError, UnknownLocaleError):
        return False
    return True
