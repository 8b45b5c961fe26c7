"""Bots: crawlers that run a page's script and fill carts. What they send is no shopper's, and is refused."""

import re
from functools import cache, lru_cache

import msgspec

from mesh.errors import DeclarationError

_NO_CRAWLERS = frozenset({"http-library", "browser-automation"})
"""What the list has besides crawlers: apps send by such libraries, and a shop's own tests drive such browsers."""
_LONGEST = 512
_is_literal = re.compile(r"(?:[^\\^$.|?*+()\[\]{}]|\\[^A-Za-z0-9])+").fullmatch


class BotSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`bot_agents` are regular expressions, separated by commas: whose User-Agent header has one sends as a bot.

    They are further ones, besides the crawlers of the list crawler-user-agents (without HTTP libraries and browsers
    that tests drive). A server's key is never a bot's.
    """

    bot_agents: tuple[str, ...] = ()


class Bots:
    """Knows bots by their User-Agent header."""

    def __init__(self, settings: BotSettings) -> None:
        """DeclarationError for what is no regular expression."""
        try:
            self._own = [re.compile(pattern) for pattern in settings.bot_agents]
        except re.error as error:
            raise DeclarationError(
                f"CARTMESH_BOT_AGENTS: {error.pattern!r} is no regular expression: {error}"
            ) from None

    def named(self, user_agent: str | None) -> str | None:
        """What is in the header that only a bot's has; None for any other."""
        shown = (user_agent or "")[:_LONGEST]
        own = next((found[0] for pattern in self._own if (found := pattern.search(shown))), None)
        return own or _listed(shown)


@lru_cache(4096)
def _listed(user_agent: str) -> str | None:
    literals, patterns = _crawlers()
    literal = next((text for text in literals if text in user_agent), None)
    return literal or next((found[0] for pattern in patterns if (found := pattern.search(user_agent))), None)


@cache
def _crawlers() -> tuple[list[str], list[re.Pattern[str]]]:
    """The crawlers of the list: texts, which are looked for much faster, and the few that are regular expressions."""
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA  # noqa: PLC0415  half a megabyte that only the host reads

    patterns = [one["pattern"] for one in CRAWLER_USER_AGENTS_DATA if not _NO_CRAWLERS & set(one["tags"])]
    literals = [re.sub(r"\\(.)", r"\1", pattern) for pattern in patterns if _is_literal(pattern)]
    return literals, [re.compile(pattern) for pattern in patterns if not _is_literal(pattern)]
