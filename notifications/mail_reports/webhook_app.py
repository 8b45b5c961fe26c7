"""Webhook app: the HTTP interface that providers of mails and text messages report to."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import httpx
import msgspec
from litestar import Litestar, Request, Response, post
from litestar.params import FromPath

from mesh import Mesh
from mesh.errors import Conflict
from mesh.observability.logs import log
from mesh.settings import read
from mesh.web.application import shared_options
from mesh.web.problems import problem
from notifications.channels.sms.twilio import TwilioSettings
from notifications.mail_reports.intake import BounceSettings, record
from notifications.mail_reports.number_report import record_number
from notifications.mail_reports.providers import mailgun, postmark, sendgrid, ses, twilio
from notifications.mail_reports.providers.webhook import NotUnderstood, Proven, Unproven, WebhookSettings
from notifications.mail_reports.receipts import RECEIPTS, Receipt
from notifications.unsubscribe_token import LinkSettings

PATH = "/mail-reports"
LARGEST = 2 * 1024 * 1024
LARGEST_CERTIFICATE = 64 * 1024
PATIENCE = 5.0
Headers = Mapping[str, str]
Prove = Callable[[bytes, Headers], Awaitable[Proven]]
"""What a webhook of a provider says. Raises Unproven, NotUnderstood."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a webhook: how many of its reports were new. Others were known, or are about something else."""

    stored: int


class Reports:
    """Takes what webhooks say."""

    def __init__(self, mesh: Mesh, fetch: ses.Fetch) -> None:
        links = read(LinkSettings)
        self.settings, self.secrets = read(WebhookSettings), (links.secret, links.secret_before)
        self.twilio = read(TwilioSettings)
        self.certificates, self.fetch = ses.Certificates(fetch), fetch
        self.sendgrid_key = sendgrid.public_key(self.settings)
        self._mesh, self._bounces = mesh, read(BounceSettings)

    async def take(self, proven: Proven, body: bytes) -> Taken:
        """Store what is new. Raises Unproven where what proves it came with another body before, and Unavailable."""
        if proven.once:
            await self._use(proven.once, sha256(body).hexdigest())
        if proven.confirm:
            await self.fetch(proven.confirm)
            log.info("a subscription to mail reports was confirmed")
        became = [await record(one, self._mesh, self._bounces) for one in proven.reports]
        return Taken(stored=became.count("stored") + await self._of_numbers(proven))

    async def _of_numbers(self, proven: Proven) -> int:
        """Store what is said of numbers, unless it came before; how much of it was new."""
        state = self._mesh.state(RECEIPTS)
        if proven.seen and await state.get(proven.seen):
            return 0
        stored = sum([await record_number(one, self._mesh) for one in proven.numbers])
        if proven.seen:
            await state.put(proven.seen, Receipt(body=""))
        return stored

    async def _use(self, once: str, body: str) -> None:
        state = self._mesh.state(RECEIPTS)
        try:
            await state.put(once, Receipt(body=body), revision=0)
        except Conflict:
            known = await state.get(once)
            if known is None or known.body != body:
                raise Unproven("its token came with another body before") from None


async def fetch_from_sns(url: str) -> bytes:
    """What is at an address of SNS: over TLS, without redirects, at most 64 kB. Raises Unproven."""
    if not ses.is_sns(url):
        raise Unproven("not an address of Amazon SNS")
    try:
        async with _client() as client, client.stream("GET", url) as response:
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LARGEST_CERTIFICATE:
                    raise Unproven("what Amazon SNS answers is too large")
    except httpx.HTTPError as error:
        raise Unproven(f"Amazon SNS could not be asked: {type(error).__name__}") from error
    if response.status_code != httpx.codes.OK:
        raise Unproven(f"Amazon SNS answered {response.status_code}")
    return body


@asynccontextmanager
async def _client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=PATIENCE, follow_redirects=False, trust_env=False) as client:
        yield client


def app(mesh: Mesh, fetch: ses.Fetch = fetch_from_sns) -> Litestar:
    """The HTTP interface: 401 for what is not proven, 422 for what is not understood."""
    reports = Reports(mesh, fetch)

    async def prove_ses(body: bytes, _: Headers) -> Proven:
        return await ses.prove(body, reports.certificates, reports.settings, reports.secrets)

    async def prove_sendgrid(body: bytes, headers: Headers) -> Proven:
        return sendgrid.prove(body, headers, reports.sendgrid_key, reports.settings)

    async def prove_postmark(body: bytes, headers: Headers) -> Proven:
        return postmark.prove(body, headers.get("authorization"), reports.settings)

    async def prove_mailgun(body: bytes, _: Headers) -> Proven:
        return mailgun.prove(body, reports.settings)

    async def prove_twilio(body: bytes, headers: Headers) -> Proven:
        return twilio.prove(body, headers, reports.twilio)

    known: dict[str, Prove] = {
        twilio.NAME: prove_twilio,
        ses.NAME: prove_ses,
        sendgrid.NAME: prove_sendgrid,
        postmark.NAME: prove_postmark,
        mailgun.NAME: prove_mailgun,
    }

    @post(f"{PATH}/{{provider:str}}", status_code=200)
    async def take_mail_reports(provider: FromPath[str], request: Request[Any, Any, Any]) -> Response[Any]:
        """What a provider reports of mails or text messages: 200 once it is stored, or needs no storing."""
        prove = known.get(provider)
        if prove is None:
            return problem(404, f"no such provider; there are {', '.join(sorted(known))}")
        body = await request.body()
        try:
            taken = await reports.take(await prove(body, request.headers), body)
        except Unproven as unproven:
            log.warning("a mail report was refused", provider=provider, reason=str(unproven))
            return problem(401, str(unproven), headers={"WWW-Authenticate": 'Basic realm="mail reports"'})
        except NotUnderstood as error:
            return problem(422, f"proven, but not to be understood: {error}")
        return _answer(provider, taken)

    return Litestar([take_mail_reports], request_max_body_size=LARGEST, **shared_options(mesh))


def _answer(provider: str, taken: Taken) -> Response[bytes]:
    if provider == twilio.NAME:
        return Response(twilio.NO_ANSWER, media_type="text/xml")
    return Response(msgspec.json.encode(taken), media_type="application/json")
