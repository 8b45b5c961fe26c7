"""Opened by: whether a person had the picture of a mail loaded, or a machine that loads the pictures of every mail.

It is judged by the User-Agent header and by when the picture was loaded. A person's open is a guess at best: who reads
a mail without its pictures is not seen, and Apple Mail loads them for all who use its privacy protection.
"""

import re
from datetime import datetime, timedelta
from functools import lru_cache

import msgspec

from mesh.events.offer import OpenedBy

SOON = timedelta(seconds=5)
"""So soon after the mail server took it nobody has read a mail; programs that check mails for threats have."""
APPLE = "Mozilla/5.0"
"""All that Apple Mail Privacy Protection sends (https://www.mailgun.com/blog/product/bot-detection/). By this alone:
Apple publishes the addresses of iCloud Private Relay, and not that mails' pictures are loaded from them."""
GMAIL_AHEAD = "Edge/12.246 Mozilla/5.0"
"""Gmail's own load before it shows a mail in its list (https://bird.com/blog/gmail-prefetching-images)."""
PROXIES = {"GoogleImageProxy": "Gmail's", "YahooMailProxy": "Yahoo Mail's"}
SCANNERS = (
    *("Barracuda", "Proofpoint", "Mimecast", "SafeLinks", "Office Existence Discovery", "TrendMicro", "IronPort"),
    *("Symantec", "Sophos", "Forcepoint", "Fortinet", "Hornetsecurity", "FireEye", "CiscoSecureEmail"),
)
"""Programs that check mails and are not in the list of crawlers."""
_LONGEST = 512
_of_a_device = re.compile(r"(Mozilla/[45]\.0|Microsoft Office/\d+\.\d+|Opera/\d+\.\d+) \([^)]{3,}").match
"""Browsers and mail programs say what they run on."""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """Who had the picture loaded, and what showed it."""

    by: OpenedBy
    reason: str


def opened_by(agent: str, *, head: bool, sent: datetime | None, at: datetime) -> Opened:
    """Of a request at a moment, with this User-Agent; `head`: it asked for no more than the head of the picture.

    `sent` is when the mail server had taken the mail; None where it had not yet.
    """
    agent = agent[:_LONGEST].strip()
    if head:
        reason: str | None = "a program asked only whether the picture is there"
    else:
        reason = _machine(agent) or _too_soon(sent, at)
    if reason:
        return Opened(by="machine", reason=reason)
    if proxy := next((whose for sign, whose in PROXIES.items() if sign in agent), None):
        return Opened(by="proxy", reason=f"{proxy} servers loaded it when the mail was opened")
    if _of_a_device(agent):
        return Opened(by="person", reason="a mail program or browser loaded it")
    return Opened(by="unknown", reason="the program that loaded it is not known")


def _too_soon(sent: datetime | None, at: datetime) -> str | None:
    """What shows by its time that no person loaded the picture."""
    if sent is None or at < sent:
        return "it was loaded before the mail had been delivered"
    return f"it was loaded within {SOON.seconds} seconds of being sent" if at - sent < SOON else None


def _machine(agent: str) -> str | None:
    """What shows that a program loaded the picture by itself; None where nothing does."""
    if agent == APPLE:
        return "Apple Mail Privacy Protection loads the pictures of every mail"
    if agent.endswith(GMAIL_AHEAD):
        return "Gmail loaded it in advance"
    if any(sign in agent for sign in PROXIES):
        return None
    if _is_scanner(agent):
        return "a program loaded it that checks mails or crawls pages"
    return None


@lru_cache(4096)
def _is_scanner(agent: str) -> bool:
    from crawleruseragents import is_crawler  # noqa: PLC0415  half a megabyte that only who counts opens reads

    return any(sign.lower() in agent.lower() for sign in SCANNERS) or bool(agent and is_crawler(agent))
