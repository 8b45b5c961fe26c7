"""Takes who a visitor is and what they allow."""

from collections.abc import AsyncIterator
from functools import cache, lru_cache
from zoneinfo import available_timezones

from mesh import Service
from mesh.accept import Sent
from mesh.errors import InvalidField
from mesh.events.customer import ConsentChanged, CustomerIdentified
from mesh.publish import Change

service = Service("customers", publishes=(CustomerIdentified, ConsentChanged))


@service.accepts(CustomerIdentified)
async def identify_customer(sent: Sent[CustomerIdentified]) -> AsyncIterator[Change]:
    """Who a visitor is is stored, where they can be written to."""
    _check(sent.event)
    yield sent.draft


@service.accepts(ConsentChanged)
async def change_consent(sent: Sent[ConsentChanged]) -> AsyncIterator[Change]:
    """A visitor's consent is stored as it was given or taken back."""
    yield sent.draft


def _check(known: CustomerIdentified) -> None:
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
