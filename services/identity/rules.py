"""Rules: what an identification from outside must be."""

import re
from functools import cache, lru_cache
from zoneinfo import available_timezones

import msgspec

from mesh.errors import InvalidField, SentByBot
from mesh.events.customer import CustomerIdentified
from services.identity.bots import is_bots

_extension = re.compile(r"[-_][a-z0-9][-_]", re.IGNORECASE)
"""Begins an extension of a language tag, as in `en-US-u-va-posix` (RFC 5646, 2.2.6): it names no other texts."""


def check(known: CustomerIdentified) -> CustomerIdentified:
    """Who the visitor is, with address, number and locale as programs write them: IDNA, E.164, without extensions.

    Raises InvalidField for an address that nobody can write to or that is a bot's, and for a number, zone or locale
    that there is not.
    """
    if known.email is not None:
        known = msgspec.structs.replace(known, email=_address(known.email))
    if known.phone is not None:
        known = msgspec.structs.replace(known, phone=_phone(known.phone))
    if known.time_zone is not None and known.time_zone not in _zones():
        raise InvalidField("$.time_zone", f"{known.time_zone[:40]!r} is no IANA time zone such as Europe/Berlin")
    locale = known.locale and _extension.split(known.locale, maxsplit=1)[0]
    if locale is not None and not _is_locale(locale):
        raise InvalidField("$.locale", f"{known.locale[:40]!r} is no locale such as de-DE")
    return msgspec.structs.replace(known, locale=locale)


def number_of(text: str) -> str | None:
    """A telephone number in the form of E.164; None for what nobody can have."""
    import phonenumbers  # noqa: PLC0415  only who takes requests needs it

    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _address(text: str) -> str:
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415  only who takes requests needs it

    try:
        # The domain `test` (RFC 2606) is what trials and demonstrations write to.
        address = validate_email(text, check_deliverability=False, test_environment=True).ascii_email
    except EmailNotValidError:
        address = None
    if address is None:
        raise InvalidField("$.email", "not an e-mail address such as ada@example.com")
    if is_bots(address):
        raise SentByBot("$.email", "the address of a bot that tries shops out: its carts are not taken for a shopper's")
    return address


def _phone(text: str) -> str:
    if (number := number_of(text)) is None:
        raise InvalidField("$.phone", "not a telephone number with its country's code such as +4930901820")
    return number


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
