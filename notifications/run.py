"""Run: one journey on one subject, such as a cart. Its id is one subject token and keys the run's timer."""

from hashlib import blake2b

from mesh.subjects import MAX_TOKEN

SEPARATOR = "--"
"""Never part of a journey's name, so that the first one ends it."""


def run_id(journey: str, subject: str) -> str:
    """`<journey>--<subject>`; of a long subject its hash, so that it stays one token."""
    joined = f"{journey}{SEPARATOR}{subject}"
    if len(joined) <= MAX_TOKEN:
        return joined
    return f"{journey}{SEPARATOR}{blake2b(subject.encode(), digest_size=16).hexdigest()}"
