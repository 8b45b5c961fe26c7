"""Sender records: what DNS should say, and how whatever it says instead is judged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.mail_keys import make_key
from notifications.sender_records import SenderRecord, SenderSettings, sender_records
from notifications.studio.sender_pages.comparison import compare, names_of
from notifications.studio.sender_pages.public_dns import Answer

PUBLIC = make_key("ed25519")[1]
SETTINGS = SenderSettings(dkim_selector="k1", dkim_public_key=PUBLIC, dmarc_reports="reports@example.com")
WORDS = (
    "v=spf1",
    "v=DMARC1",
    "v=DKIM1",
    "p=",
    "p=none",
    ";",
    "; ",
    "=",
    " ",
    "k=",
    "t=y",
    "h=",
    "all",
    "+",
    "~all",
    PUBLIC,
)


def records(settings=SETTINGS, mail_from="Shop <offers@Bücher.example.com>", smtp_host="smtp.example.com"):
    return {one.kind: one for one in sender_records(settings, mail_from=mail_from, smtp_host=smtp_host)}


def judged(record, *texts):
    names = names_of(record)
    return compare(record, [Answer(name=names[0], texts=texts), *(Answer(name=one) for one in names[1:])])


def test_the_records_follow_from_the_settings():
    """A domain that is no ASCII is named as DNS has it; an Ed25519 key says so."""
    found = records()

    assert [(one.name, one.value) for one in found.values()] == [
        ("xn--bcher-kva.example.com", "v=spf1 a:smtp.example.com ~all"),
        ("k1._domainkey.xn--bcher-kva.example.com", f"v=DKIM1; k=ed25519; p={PUBLIC}"),
        ("_dmarc.xn--bcher-kva.example.com", "v=DMARC1; p=none; rua=mailto:reports@example.com"),
    ]


@pytest.mark.parametrize("settings", [SenderSettings(), SenderSettings(dkim_selector="k1")])
def test_what_is_not_set_is_no_record(settings):
    """Without a key, and with a mail server on this machine, whose public name nobody knows."""
    found = records(settings, smtp_host="127.0.0.1")

    assert [kind for kind, one in found.items() if one.value] == ["DMARC"]


def test_a_policy_is_looked_for_in_the_domains_above_but_not_in_the_whole_of_com():
    """The nearest one counts."""
    record = SenderRecord(kind="DMARC", name="_dmarc.eu.shop.example.com", value="v=DMARC1; p=none")

    assert names_of(record) == ["_dmarc.eu.shop.example.com", "_dmarc.shop.example.com", "_dmarc.example.com"]


@pytest.mark.parametrize("kind", ["SPF", "DKIM", "DMARC"])
@given(
    texts=st.lists(
        st.one_of(st.text(max_size=40), st.lists(st.sampled_from(WORDS), max_size=8).map("".join)), max_size=3
    )
)
def test_whatever_dns_says_is_judged(kind, texts):
    """Right only where one text says what it should; different always with what is to be changed."""
    verdict = judged(records()[kind], *texts)

    assert (verdict.state == "different") == bool(verdict.differences)
    assert verdict.state in ("right", "different", "missing")
    assert verdict.state != "right" or len(verdict.found) == 1
    assert (verdict.state == "missing") == (verdict.found == ())


@pytest.mark.parametrize("kind", ["SPF", "DKIM", "DMARC"])
def test_the_record_as_it_should_be_is_right(kind):
    """Whatever else is published beside it."""
    record = records()[kind]

    assert judged(record, record.value, "site-verification=1").state == "right"
