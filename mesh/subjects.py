"""Subjects: `<root>.<region>.<domain>.<action>.<key>`: build, match, overlap.

Tokens are `[A-Za-z0-9_-]`, 1 to 128 characters; anything else is refused, so that no key can
widen a filter or reach another region.
"""

import re

from mesh.errors import InvalidKey
from mesh.event import Declaration, Event, declaration_of, key_of

MAX_TOKEN = 128
_token = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII).fullmatch


def token(value: str, what: str = "key") -> str:
    """`value` itself when it can be one subject token; InvalidKey otherwise."""
    if isinstance(value, str) and _token(value):
        return value
    shown = value if len(str(value)) <= 40 else f"{str(value)[:40]}... ({len(value)} characters)"
    raise InvalidKey(f"{what} {shown!r} must be 1 to {MAX_TOKEN} of A-Z a-z 0-9 _ and -")


def subject_of(region: str, happened: Event) -> str:
    """Where an event is stored."""
    return subject(region, declaration_of(type(happened)), key_of(happened))


def subject(region: str, declaration: Declaration, key: str) -> str:
    """Where an event of `key` is stored; InvalidKey when the key cannot be a token."""
    return f"{declaration.root}.{region}.{declaration.domain}.{declaration.action}.{token(key, declaration.key)}"


def timer_subject(region: str, declaration: Declaration, key: str) -> str:
    """Where the pending timer of an event of `key` waits."""
    return f"timer.{region}.{declaration.domain}.{declaration.action}.{token(key, declaration.key)}"


def carrier_subject(region: str, family: str, id_: str) -> str:
    """Where a stream family's messages are stored that only carry a condition or a cancellation."""
    return f"carrier.{region}.{family.lower()}.{id_}"


def every(declaration: Declaration, *, region: str = "*") -> str:
    """The filter for all keys of one event."""
    return f"{declaration.root}.{region}.{declaration.domain}.{declaration.action}.*"


def history_filter(region: str, domain: str, key: str, *, root: str = "ev") -> str:
    """The filter for everything that happened to one key of one domain."""
    return f"{root}.{region}.{token(domain, 'domain')}.*.{token(key)}"


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject falls under a NATS pattern (`*` one token, a final `>` one or more)."""
    wanted, given = pattern.split("."), subject.split(".")
    for at, part in enumerate(wanted):
        if part == ">":
            return len(given) > at
        if at >= len(given) or part not in ("*", given[at]):
            return False
    return len(wanted) == len(given)


def overlap(one: str, other: str) -> bool:
    """Whether some subject falls under both patterns."""
    left, right = one.split("."), other.split(".")
    for at in range(max(len(left), len(right))):
        a = left[at] if at < len(left) else None
        b = right[at] if at < len(right) else None
        if a is None or b is None:
            return False
        if a == ">" or b == ">":
            return True
        if a != b and "*" not in (a, b):
            return False
    return True


def covers(pattern: str, other: str) -> bool:
    """Whether every subject that falls under the other pattern falls under this one."""
    wanted, given = pattern.split("."), other.split(".")
    for at, part in enumerate(wanted):
        if part == ">":
            return len(given) > at
        if at >= len(given) or given[at] == ">" or part not in ("*", given[at]):
            return False
    return len(wanted) == len(given)
