"""Who loaded a mail's picture: told by the agents that mail services and programs are known to send, and by when."""

from datetime import UTC, datetime, timedelta

import pytest

from notifications.opened_by import SOON, opened_by

SENT = datetime(2026, 5, 4, 12, tzinfo=UTC)
LATER = SENT + timedelta(hours=1)
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"{WINDOWS} Chrome/42.0.2311.135 Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"


@pytest.mark.parametrize(
    ("agent", "by"),
    [
        ("Mozilla/5.0", "machine"),
        (f"{CHROME} Edge/12.246 Mozilla/5.0", "machine"),
        ("Mozilla/5.0 (compatible; Proofpoint/2.0)", "machine"),
        ("Barracuda Sentinel (EE)", "machine"),
        ("Microsoft Office Existence Discovery", "machine"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0.0.0 Safari/537.36", "machine"),
        ("python-requests/2.31.0", "machine"),
        ("Go-http-client/1.1", "machine"),
        ("BingPreview/1.0b", "machine"),
        (GMAIL, "proxy"),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "proxy"),
        (IPHONE, "person"),
        (f"{CHROME} Edg/120.0.0.0", "person"),
        ("Mozilla/4.0 (compatible; ms-office; MSOffice 16)", "person"),
        ("Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.4266; Pro)", "person"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.6.0", "person"),
        ("", "unknown"),
        ("something", "unknown"),
    ],
)
def test_an_agent_tells_who_loaded_the_picture(agent, by):
    """Long after a mail was sent nothing else does."""
    assert opened_by(agent, head=False, sent=SENT, at=LATER).by == by


@pytest.mark.parametrize("agent", [IPHONE, GMAIL, "something"])
@pytest.mark.parametrize("sent", [None, LATER, SENT])
def test_before_a_mail_can_have_been_read_it_is_a_machine(agent, sent):
    """Before the mail server had taken it, or within seconds."""
    at = SENT + SOON - timedelta(milliseconds=1)

    assert opened_by(agent, head=False, sent=sent, at=at).by == "machine"
    assert opened_by(IPHONE, head=False, sent=SENT, at=SENT + SOON).by == "person"


def test_who_asks_for_the_head_alone_shows_no_picture():
    """Whatever it calls itself, and however late."""
    assert opened_by(IPHONE, head=True, sent=SENT, at=LATER).by == "machine"


def test_a_long_agent_is_looked_at_in_part():
    """Anybody can send one."""
    assert opened_by("x" * 1_000_000, head=False, sent=SENT, at=LATER).by == "unknown"
