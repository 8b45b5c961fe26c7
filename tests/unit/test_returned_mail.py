"""Mails that come back: what several mail servers write is read, and nothing counts that is about no mail of ours."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.profiles import address_digest
from notifications.mail_reference import HEADER, MailReference, opened, read_return_path, return_path
from notifications.mail_reports.report import is_hard
from notifications.mail_reports.returned_mail import LARGEST, read_returned_mail
from tests.returned_mails import complaint, exchange, exim, gmail, postfix

SECRET, OTHER = "of-the-links-in-mails", "somebody-elses-secret"
ADA, ID = "Ada.Lovelace@example.com", "0123456789abcdef" * 2
REFERENCE = MailReference(kind="offer", id=ID, address=address_digest(ADA))
VERP = return_path("bounces@shop.example.test", REFERENCE, SECRET)
SHAPES = {"postfix": postfix, "exim": exim, "exchange": exchange, "gmail": gmail}


def original(secret=SECRET, reference=REFERENCE):
    """The headers of the mail that went out."""
    header = "".join(f"{name}: {value}\r\n" for name, value in reference.header(secret).items())
    return f"From: offers@shop.example.test\r\nTo: {ADA}\r\nMessage-ID: <{ID}@shop.example.test>\r\n{header}"


def read(raw, *secrets):
    return read_returned_mail(raw, secrets or (SECRET, None))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_mail_servers_bounce_is_read(shape):
    """By the header that it returns; there is no such mailbox, and no address is in the reason."""
    returned = read(SHAPES[shape](ADA, original()))

    (report,) = returned.reports
    assert (report.about, report.hard, report.reference, report.address) == ("bounce", True, REFERENCE, ADA)
    assert returned.understood
    assert "@" not in report.reason
    assert report.reason


@pytest.mark.parametrize("shape", SHAPES)
def test_a_server_that_returns_no_header_is_understood_by_the_address_that_it_wrote_to(shape):
    """The envelope's sender names the mail, and is authenticated together with the recipient."""
    (report,) = read(SHAPES[shape](ADA.upper(), "Subject: none of ours\r\n", to=VERP)).reports

    assert report.reference == REFERENCE


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mail_of_ours_that_was_forwarded_speaks_of_the_address_that_it_went_to(shape):
    """The final recipient is another one."""
    (report,) = read(SHAPES[shape]("somebody@elsewhere.example", original())).reports

    assert report.reference.address == address_digest(ADA)


@pytest.mark.parametrize(
    "forged",
    [
        postfix(ADA, "Subject: invented\r\n"),
        postfix(ADA, original(OTHER)),
        postfix(ADA, f"{HEADER}: AAAA\r\n"),
        postfix("victim@example.com", "Subject: invented\r\n", to=VERP),
        postfix(ADA, "", to=return_path("bounces@shop.example.test", REFERENCE, OTHER)),
        postfix(ADA, "", to="bounces+@shop.example.test"),
        postfix(ADA, f"Message-ID: <{ID}@shop.example.test>\r\nX-Cartmesh-Offer: {ID}\r\n"),
        complaint("Subject: invented\r\n", recipient=ADA),
        complaint("Subject: invented\r\n", recipient="victim@example.com", sender=VERP),
    ],
    ids=[
        *("no header", "another secret", "no token", "VERP of another recipient", "VERP of another secret"),
        *("no VERP", "public ids", "complaint without a header", "complaint about another recipient"),
    ],
)
def test_what_anybody_could_write_counts_for_nothing_and_is_kept_for_people(forged):
    """Ids stand in links, so that they prove nothing; what one mail proves is good for its recipient alone."""
    returned = read(forged)

    assert (returned.understood, returned.reports) == (False, ())


def test_links_of_a_secret_before_are_still_known():
    """Mails that went out before the secret was changed come back afterwards."""
    for raw in (postfix(ADA, original()), postfix(ADA, "", to=VERP)):
        assert read(raw, "a-new-secret-of-the-shop", SECRET).reports[0].reference == REFERENCE


def test_a_delay_is_understood_and_reports_nothing():
    """The server goes on trying."""
    returned = read(postfix(ADA, original(), action="delayed", status="4.4.1"))

    assert (returned.understood, returned.reports) == (True, ())


@pytest.mark.parametrize(
    ("status", "diagnostic", "hard"),
    [
        ("5.1.1", "", True),
        ("5.1.10", "550 5.1.10 null MX", True),
        ("5.2.1", "550 5.2.1 mailbox disabled", True),
        ("5.0.0", "550 No such user here", True),
        ("5.0.0", "550-5.1.1 no such account", True),
        ("", "551 not local", True),
        ("5.0.0", "", True),
        ("5.2.2", "552 5.2.2 mailbox full", False),
        ("5.7.1", "550 5.7.1 blocked", False),
        ("5.0.0", "550 5.7.26 unauthenticated", False),
        ("5.0.0", "554 rejected", False),
        ("5.3.4", "552 5.3.4 too large", False),
        ("4.4.7", "expired", False),
        ("4.1.1", "450 4.1.1 greylisted", False),
        ("5.1.8", "bad sender", False),
        ("2.0.0", "", False),
        ("", "", False),
        ("nonsense", "nonsense", False),
    ],
)
def test_only_a_mailbox_that_is_none_is_for_good(status, diagnostic, hard):
    """A full mailbox, a policy, a size and a sender that is not liked may be other next time."""
    assert is_hard(status, diagnostic) is hard


@pytest.mark.parametrize(("recipient", "sender"), [("", "offers@shop.example.test"), (ADA, VERP)])
def test_a_complaint_finds_the_address_also_where_the_provider_leaves_it_out(recipient, sender):
    """By the header, or by the envelope's sender."""
    raw = complaint(original() if not recipient else "Subject: x\r\n", recipient=recipient, sender=sender)
    (report,) = read(raw).reports

    assert (report.about, report.kind, report.reference) == ("complaint", "abuse", REFERENCE)


@pytest.mark.parametrize("kind", ["not-spam", "virus", "opt-out"])
def test_other_feedback_is_no_complaint(kind):
    """RFC 5965 has more kinds than abuse."""
    assert read(complaint(original(), kind=kind)).reports == ()


def test_the_same_report_has_the_same_id_however_it_arrives():
    """Two deliveries of one mail differ in their first lines; two reports about one mail in their Message-ID."""
    raw = postfix(ADA, original())
    first, again = read(raw), read(b"Received: from mx by shop; now\r\n" + raw)
    other = read(postfix(ADA, original(), name="another"))

    assert first.reports[0].id == again.reports[0].id != other.reports[0].id


def test_a_mail_as_large_as_it_likes_is_read_in_part():
    """What is returned stands behind what is said."""
    raw = postfix(ADA, original()).replace(b"I'm sorry", b"x" * 3 * LARGEST)

    assert read(raw).reports == ()
    assert read(postfix(ADA, original()) + b"x" * 3 * LARGEST).reports


HOSTILE = (
    b"",
    b"\0" * 1000,
    b"Content-Type: multipart/report; boundary=a\r\n\r\n" + b"--a\r\n" * 20_000,
    b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(400)),
    b"Content-Type: message/rfc822\r\n\r\n" * 5_000,
    b"Content-Type: message/delivery-status\r\n\r\n" + b"Action: failed\r\n\r\n" * 5_000,
    b"Content-Type: message/delivery-status; charset=\xff\r\nContent-Transfer-Encoding: base64\r\n\r\n\xff\xfe",
    b"To: " + b"<" * 50_000 + b"\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n",
    b"Content-Type: message/feedback-report\r\n\r\nFeedback-Type: " + b"a" * 100_000,
)


@pytest.mark.parametrize("raw", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_mails_are_no_reports_and_break_nothing(raw):
    """Deep nesting, thousands of parts, no end, wrong encodings."""
    assert read(raw).reports == ()


@settings(max_examples=40)
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    cut=st.integers(0, 2_000),
    noise=st.binary(max_size=40),
    at=st.integers(0, 2_000),
)
def test_a_mail_that_was_damaged_anywhere_never_speaks_of_another_address(shape, cut, noise, at):
    """Cut off, or with any bytes in it."""
    raw = SHAPES[shape](ADA, original())
    damaged = (raw[:at] + noise + raw[at:])[: len(raw) - cut]

    assert {one.reference for one in read(damaged).reports} <= {REFERENCE}


@settings(max_examples=40)
@given(st.binary(max_size=400))
def test_any_bytes_are_read(raw):
    """Behind the head of a report as well."""
    assert read(raw).reports == ()
    assert read(b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n" + raw).reports == ()


@settings(max_examples=40)
@given(st.text(max_size=80))
def test_no_other_token_opens(token):
    """Neither as a header nor as an address."""
    assert opened(token, SECRET) is None
    assert read_return_path(f"bounces+{token}@shop.example.test", [ADA], [SECRET]) is None


@pytest.mark.parametrize("local", ["b", "bounces", "x" * 19, "x" * 20, "x" * 64])
def test_the_envelopes_sender_is_one_that_servers_take(local):
    """At most 64 signs before the `@`; a longer one stays as it was given."""
    made = return_path(f"{local}@shop.example.test", REFERENCE, SECRET)

    assert len(made.partition("@")[0]) <= 64
    assert (made == f"{local}@shop.example.test") == (len(local) > 19)
    if len(local) <= 19:
        assert read_return_path(made.upper(), [ADA], [SECRET]) == REFERENCE


def test_an_id_that_is_none_of_ours_gives_no_token():
    """Such as a test's."""
    assert return_path("b@x.test", MailReference(kind="offer", id="offer-1", address="a"), SECRET) == "b@x.test"
