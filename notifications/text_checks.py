"""Text checks: what is wrong with a text message, or costs more than it has to."""

from collections.abc import Iterator

from notifications.channels.sms.segments import segments_of
from notifications.findings import Finding

TEXT = "sms.text"
MOST = 10
"""Messages that a text may be cut into, as the providers have it: about 1,600 signs."""


def check_text(text: str, opt_out: str | None) -> Iterator[Finding]:
    """What is to be known of a text message; `opt_out` is the link that ends them, of those that need one."""
    if not text:
        return
    found = segments_of(text)
    if found.count > MOST:
        words = f"{found.length} signs, which would be {found.count} messages: providers take {MOST} at most."
        yield Finding(level="error", text=TEXT, words=words)
    elif found.count > 1:
        words = f"It is sent and paid as {found.count} messages: {found.length} of {found.room} signs."
        yield Finding(level="hint", text=TEXT, words=words)
    if found.unusual and found.count > 1:
        words = f"“{found.unusual[:10]}” is not in the alphabet of text messages, so that one has 70 signs and not 160."
        yield Finding(level="hint", text=TEXT, words=words)
    if opt_out and opt_out not in text and "STOP" not in text.upper():
        words = "It does not say how to end these messages: write {{ unsubscribe_url }}, or “Reply STOP”."
        yield Finding(level="error", text=TEXT, words=words)
