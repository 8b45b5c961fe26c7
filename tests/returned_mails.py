"""Mails that come back, in the shapes of several mail servers, written for these tests. All addresses are invented."""

BOUNDARY = "=_back_=="


def _head(name: str, subject: str, sender: str, to: str, kind: str) -> str:
    return (
        f"Return-Path: <>\r\nFrom: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{name}@mx.example.net>\r\nDate: Sun, 29 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type={kind}; boundary="{BOUNDARY}"\r\n\r\n'
    )


def _parts(*parts: tuple[str, str]) -> str:
    made = "".join(f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n{text}\r\n" for kind, text in parts)
    return f"{made}--{BOUNDARY}--\r\n"


def postfix(
    recipient: str,
    original: str,
    *,
    to: str = "offers@shop.example.test",
    status: str = "5.1.1",
    diagnostic: str = "",
    action: str = "failed",
    name: str = "20261129100000.4F1",
) -> bytes:
    """As Postfix writes it: headers of the mail as text/rfc822-headers."""
    said = diagnostic or f"550 5.1.1 <{recipient}>: Recipient address rejected: User unknown in virtual mailbox table"
    report = (
        "Reporting-MTA: dns; mx.example.net\r\nX-Postfix-Queue-ID: 4F1\r\nX-Postfix-Sender: rfc822; "
        f"offers@shop.example.test\r\nArrival-Date: Sun, 29 Nov 2026 09:59:58 +0000 (UTC)\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nOriginal-Recipient: rfc822;{recipient}\r\nAction: {action}\r\n"
        f"Status: {status}\r\nRemote-MTA: dns; mail.example.com\r\nDiagnostic-Code: smtp; {said}\r\n"
    )
    words = (
        f"I'm sorry to have to inform you that your message could not\r\nbe delivered.\r\n\r\n<{recipient}>: {said}\r\n"
    )
    text = _head(name, "Undelivered Mail Returned to Sender", "MAILER-DAEMON@mx.example.net", to, "delivery-status")
    parts = (
        ("text/plain; charset=us-ascii", words),
        ("message/delivery-status", report),
        ("text/rfc822-headers", original),
    )
    return (text + _parts(*parts)).encode()


def exim(recipient: str, original: str, *, to: str = "offers@shop.example.test", name: str = "E1abc-0001") -> bytes:
    """As Exim writes it: bare LF, X-Failed-Recipients, no Original-Recipient, the mail as message/rfc822."""
    report = (
        "Reporting-MTA: dns; exim.example.org\r\n\r\nAction: failed\r\n"
        f"Final-Recipient: rfc822;{recipient}\r\nStatus: 5.0.0\r\nRemote-MTA: dns; mx.example.org\r\n"
        f"Diagnostic-Code: smtp; 550 No such user here\r\n"
    )
    text = _head(
        name, "Mail delivery failed: returning message to sender", "Mail Delivery System", to, "delivery-status"
    )
    text = f"X-Failed-Recipients: {recipient}\r\nAuto-Submitted: auto-replied\r\n{text}"
    parts = (
        ("text/plain; charset=us-ascii", "This message was created automatically by mail delivery software."),
        ("message/delivery-status", report),
        ("message/rfc822", f"{original}\r\nhello\r\n"),
    )
    return (text + _parts(*parts)).replace("\r\n", "\n").encode()


def exchange(recipient: str, original: str, *, to: str = "offers@shop.example.test", name: str = "AM0PR01") -> bytes:
    """As Exchange writes it: an HTML part first, a generic status beside an exact diagnostic, the mail whole."""
    report = (
        "Reporting-MTA: dns;AM0PR01MB0001.eurprd01.prod.exchangelabs.example\r\nReceived-From-MTA: dns;mx.example.test"
        f"\r\nArrival-Date: Sun, 29 Nov 2026 09:59:58 +0000\r\n\r\nFinal-Recipient: rfc822;{recipient}\r\n"
        "Action: failed\r\nStatus: 5.1.10\r\nDiagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; not"
        f"\r\n found by SMTP address lookup\r\nX-Display-Name: {recipient}\r\n"
    )
    text = _head(name, "Undeliverable: Your cart", "Microsoft Outlook <postmaster@example.com>", to, "delivery-status")
    parts = (
        ("text/html; charset=utf-8", "<p>Your message couldn't be delivered.</p>"),
        ("message/delivery-status", report),
        ("message/rfc822", f"{original}\r\nhello\r\n"),
    )
    return (text + _parts(*parts)).encode()


def gmail(recipient: str, original: str, *, to: str = "offers@shop.example.test", name: str = "6abc.gmail") -> bytes:
    """As Gmail writes it: text and HTML inside of a multipart, an angle-bracketed diagnostic with an address in it."""
    report = (
        "Reporting-MTA: dns; googlemail.com\r\nReceived-From-MTA: dns; offers@shop.example.test\r\n"
        "Arrival-Date: Sun, 29 Nov 2026 01:59:58 -0800 (PST)\r\nX-Original-Message-ID: <x@shop.example.test>\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "Remote-MTA: dns; mx.example.com. (203.0.113.7, the server for the domain example.com.)\r\n"
        f"Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist <{recipient}>\r\n"
        "Last-Attempt-Date: Sun, 29 Nov 2026 02:00:00 -0800\r\n"
    )
    text = _head(name, "Delivery Status Notification (Failure)", "mailer-daemon@googlemail.com", to, "delivery-status")
    text = f"X-Failed-Recipients: {recipient}\r\n{text}"
    inner = (
        "--inner\r\nContent-Type: text/plain\r\n\r\n** Address not found **\r\n"
        "--inner\r\nContent-Type: text/html\r\n\r\n<b>Address not found</b>\r\n--inner--\r\n"
    )
    parts = (
        ('multipart/alternative; boundary="inner"', inner),
        ("message/delivery-status", report),
        ("message/rfc822", f"{original}\r\nhello\r\n"),
    )
    return (text + _parts(*parts)).encode()


def complaint(
    original: str,
    *,
    recipient: str = "",
    sender: str = "offers@shop.example.test",
    kind: str = "abuse",
    name: str = "arf-1",
) -> bytes:
    """A feedback report (RFC 5965); most providers leave the recipient out."""
    report = (
        f"Feedback-Type: {kind}\r\nUser-Agent: Feedback/1.0\r\nVersion: 1\r\nOriginal-Mail-From: <{sender}>\r\n"
        + (f"Original-Rcpt-To: <{recipient}>\r\n" if recipient else "")
        + "Arrival-Date: Sun, 29 Nov 2026 09:59:58 +0000\r\nSource-IP: 203.0.113.7\r\n"
    )
    text = _head(name, "complaint about message", "feedback@example.org", "abuse@shop.example.test", "feedback-report")
    parts = (
        ("text/plain", "This is an email abuse report."),
        ("message/feedback-report", report),
        ("message/rfc822", f"{original}\r\nhello\r\n"),
    )
    return (text + _parts(*parts)).encode()
