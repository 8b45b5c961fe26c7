"""Passwords: Argon2id (RFC 9106) by argon2-cffi, a few at a time: each needs 64 MiB for some 50 ms."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 12, 1024
AT_ONCE = 2


def objection(password: str, *, email: str) -> str | None:
    """What is wrong with a new password (NIST SP 800-63B, 5.1.1.2), or None."""
    if len(password) < SHORTEST:
        return f"A password has at least {SHORTEST} characters; a few words in a row are easy to remember."
    if len(password) > LONGEST:
        return f"A password has at most {LONGEST} characters."
    plain = password.casefold()
    if email.casefold() in plain or plain in email.casefold():
        return "The e-mail address is no password."
    if len(set(plain)) < 5 or plain in "abcdefghijklmnopqrstuvwxyz0123456789" * 2:
        return "This password is one of the first that others try."
    return None


async def hash_password(password: str) -> str:
    """The hash to keep, with its salt and parameters."""
    return await asyncio.get_running_loop().run_in_executor(_workers(), _hasher().hash, password)


async def verify_password(password: str, kept: str) -> bool:
    """Whether a password is the one that was hashed. Without a hash it takes as long, and is not."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_workers(), _verify, password, kept) and bool(kept)


def needs_rehash(kept: str) -> bool:
    """Whether a hash was made with weaker parameters than today's."""
    return _hasher().check_needs_rehash(kept)


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobody() -> str:
    """A hash for accounts that do not exist, so that the time taken does not say which do."""
    return _hasher().hash("nobody has this password")


def _verify(password: str, kept: str) -> bool:
    try:
        return _hasher().verify(kept or _nobody(), password[:LONGEST])
    except (VerificationError, InvalidHashError):
        return False
