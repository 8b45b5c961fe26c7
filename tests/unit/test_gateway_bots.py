"""Which User-Agent headers are a bot's."""

import pytest

from mesh.errors import DeclarationError
from services.gateway.bots import Bots, BotSettings

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)
STOREBOT = (
    "Mozilla/5.0 (X11; Linux x86_64; Storebot-Google/1.0) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Safari/537.36"
)


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (STOREBOT, "Storebot-Google"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot/"),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "bingbot"),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", "AhrefsBot"),
        ("facebookexternalhit/1.1", "facebookexternalhit"),
        (CHROME, None),
        (SAFARI, None),
        (CHROME.replace("Chrome/", "HeadlessChrome/"), None),
        ("okhttp/4.12.0", None),
        ("python-httpx/0.28.1", None),
        ("", None),
        (None, None),
        (CHROME + " " * 600 + "Googlebot/2.1", None),
    ],
)
def test_crawlers_are_known_and_nobody_else(user_agent, expected):
    """An app's library, a test's browser and no header at all are no crawlers."""
    assert Bots(BotSettings()).named(user_agent) == expected


def test_a_shop_adds_bots_of_its_own():
    """By regular expressions; what is none is refused at the start."""
    bots = Bots(BotSettings(bot_agents=("HeadlessChrome", "Probe/[0-9]")))

    assert bots.named(CHROME.replace("Chrome/", "HeadlessChrome/")) == "HeadlessChrome"
    assert bots.named("Shop-Probe/2") == "Probe/2"
    assert bots.named(CHROME) is None
    with pytest.raises(DeclarationError, match=r"CARTMESH_BOT_AGENTS: '\(' is no regular expression"):
        Bots(BotSettings(bot_agents=("(",)))
