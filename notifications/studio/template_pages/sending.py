"""Sending: the mail or text message of what is typed goes to whoever edits it."""

import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from mesh.errors import DeclarationError
from mesh.settings import read
from mesh.web.accounts import Account
from mesh.web.audit import note
from mesh.web.guard import require
from mesh.web.roles import MARKETER
from notifications.channels.delivery_errors import Undelivered, Unknown
from notifications.channels.email_message import MailSettings, compose_transactional, recipient
from notifications.channels.signer import SigningSettings, open_signer
from notifications.channels.sms.tested_text import TestedText, TextTested
from notifications.channels.smtp import Pool, SmtpSettings
from notifications.render_pool import Rendered
from notifications.studio.template_pages.edited import typed_source
from notifications.studio.template_pages.editor import Editor, locale_of

PATIENCE = timedelta(seconds=20)
is_number = re.compile(r"\+[1-9]\d{6,14}", re.ASCII).fullmatch
MOST, WINDOW = 10, timedelta(minutes=10)
"""How many tests an account may send within how long, by each process of the studio."""


Send = Callable[[Rendered, Account, Mapping[str, Any]], Awaitable["Mailed"]]


class Mailed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a test mail, in words."""

    sent: bool
    words: str


class SentTestMails:
    """When each account sent test mails lately."""

    def __init__(self) -> None:
        self._sent: dict[str, deque[datetime]] = {}

    def take(self, account: str) -> bool:
        """Count one more; whether there is still one left."""
        now = datetime.now(UTC)
        self._sent = {key: at for key, at in self._sent.items() if at[-1] > now - WINDOW}
        lately = self._sent.setdefault(account, deque(maxlen=MOST))
        if len(lately) == MOST and lately[0] > now - WINDOW:
            return False
        lately.append(now)
        return True


def sending_routes(editor: Editor) -> list[HTTPRouteHandler]:
    """The test mail."""
    turns = SentTestMails()

    async def try_it(request: Request[Any, Any, Any], name: str, send: Send) -> Response[Any]:
        account, sent = require(request, MARKETER.name).account, await request.form()
        edited = await editor.read(name)
        locale, status = locale_of(sent, edited), 200
        preview = await editor.preview(edited, locale, typed_source(sent), sent)
        if preview.rendered is None:
            mailed, status = Mailed(sent=False, words="Not sent: it cannot be rendered. See what is found."), 422
        elif not turns.take(account.id):
            minutes = WINDOW.total_seconds() / 60
            words = f"Not sent: {MOST} tests in {minutes:.0f} minutes are the most. Try again later."
            mailed, status = Mailed(sent=False, words=words), 429
        else:
            mailed = await send(preview.rendered, account, sent)
            status = 200 if mailed.sent else 502
        note(request, f"{editor.kind.name}/{name}", language=locale)
        if "hx-request" in request.headers:
            return editor.studio.show(request, "template_mailed.html.j2", {"mailed": mailed}, status=status)
        return await editor.show(request, edited, locale, sent=sent, mailed=mailed, status=status)

    async def by_text(rendered: Rendered, _: Account, sent: Mapping[str, Any]) -> Mailed:
        to = "".join(str(sent.get("test_number", "")).split())
        if not is_number(to):
            return Mailed(sent=False, words="Not sent: write your number with its country's code, such as +4930901820.")
        if not rendered.sms:
            return Mailed(sent=False, words="Not sent: there is no text for SMS.")
        asked = TextTested(to=to, text=rendered.sms)
        answer = await editor.mesh.ask("channels", "test-text", asked, TestedText, within=PATIENCE)
        words = f"Not sent: {answer.why}." if answer.why else "Sent. Its links are those of a sample and lead nowhere."
        return Mailed(sent=not answer.why, words=words)

    @post("/{name:str}/test-mail", status_code=200)
    async def send_test_mail(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
        """Send the form's mail to the address of whoever is signed in. No offer is claimed or counted by it."""
        return await try_it(request, name, by_mail)

    @post("/{name:str}/test-text", status_code=200)
    async def send_test_text(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
        """Send the form's text message to a number that is typed. No offer is claimed or counted by it."""
        return await try_it(request, name, by_text)

    return [send_test_mail, send_test_text]


async def by_mail(rendered: Rendered, account: Account, _: Mapping[str, Any]) -> Mailed:
    """Send the mail to an account's address."""
    email = account.email
    settings, to = read(MailSettings), recipient(email)
    if to is None:
        return Mailed(sent=False, words="Not sent: your account has no e-mail address that mails can go to.")
    test = msgspec.structs.replace(rendered, subject=f"Test: {rendered.subject}")
    message = compose_transactional(test, to=to, key=f"test-{token_hex(8)}", settings=settings)
    signing = read(SigningSettings)
    try:
        signer = open_signer(signing, settings.mail_from) if signing.dkim_key else None
    except DeclarationError as error:
        return Mailed(sent=False, words=f"Not sent: {error}.")
    pool = Pool(read(SmtpSettings), signer)
    try:
        await pool.send(settings.sender(), to, message)
    except Undelivered as error:
        return Mailed(sent=False, words=f"Not sent: the mail server says: {error}.")
    except Unknown as error:
        return Mailed(sent=False, words=f"It is not known whether it was sent: {error}.")
    finally:
        await pool.close()
    unsigned = signer is None and signing.dkim_selector
    more = " Unlike the shop's mails it is not signed, so that it may be taken for spam." if unsigned else ""
    return Mailed(sent=True, words=f"Sent to {email}.{more}")
