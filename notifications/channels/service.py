"""Sends what was decided, by e-mail, SMS, web push or card; messages about orders; and asks addresses to confirm."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from mesh import Mesh, Received, Retry, Service
from mesh.binding import Interest
from mesh.channels import EMAIL, ONSITE, PUSH, SMS
from mesh.errors import Conflict
from mesh.events.cart import CartClosed, CartConverted
from mesh.events.contact import ConfirmationFailed, ConfirmationRequested
from mesh.events.customer import ConsentChanged, CustomerIdentified, CustomerUnsubscribed
from mesh.events.mail import MailAdvanced
from mesh.events.offer import (
    Card,
    OfferClaimed,
    OfferDecided,
    OfferDeferred,
    OfferFailed,
    OfferRequested,
    OfferSendDue,
    OfferSent,
    OfferUnsubscribed,
    OfferWithdrawn,
)
from mesh.profiles import PROFILES
from mesh.publish import Change
from notifications.channel_settings import not_set_up
from notifications.channels.attempts import failed
from notifications.channels.confirmation import Confirmer
from notifications.channels.delivery import deliver, withdrawn
from notifications.channels.delivery_state import DeliveryState, delivery_state
from notifications.channels.languages import LanguagesAsked, LanguagesCounted, counted_languages
from notifications.channels.mailer import Mailer, open_mailer
from notifications.channels.offer_renderer import OfferRenderer, open_offer_renderer
from notifications.channels.order_channel import OrderMail, OrderText
from notifications.channels.order_messages import OrderMessages
from notifications.channels.order_occasion import ORDER_EVENTS, OrderEvent
from notifications.channels.push.notification_sender import NotificationSender, open_notification_sender
from notifications.channels.reading import Reading, read_delivery
from notifications.channels.sender import Sender
from notifications.channels.shown_mail import MailAsked, MailShown, shown_mail
from notifications.channels.sms.tested_text import TestedText, TextTested, tested_text
from notifications.channels.sms.text_sender import TextSender, open_text_sender
from notifications.channels.tried_mail import MailTried, tried_mail
from notifications.journeys.kind import JOURNEYS
from notifications.journeys.triggers import has_cart
from notifications.render_pool import TemplateError
from notifications.run import run_fields
from notifications.short_links import SHORT_LINKS
from notifications.suppressions import SUPPRESSIONS
from notifications.template_variables import cart_url
from notifications.templates.kind import TEMPLATES

service = Service(
    "channels",
    publishes=(
        OfferClaimed,
        OfferSent,
        OfferDeferred,
        OfferSendDue,
        OfferFailed,
        OfferWithdrawn,
        OfferUnsubscribed,
        ConfirmationRequested,
        ConfirmationFailed,
        MailAdvanced,
    ),
    timers=(OfferSendDue,),
    buckets=(SHORT_LINKS,),
    views=(PROFILES, TEMPLATES.bucket, JOURNEYS.bucket, SUPPRESSIONS),
    asks=("mail-reports",),
    reads_personal_data=True,
    secrets=("secret", "address_secret"),
)

REDELIVERED_AFTER = timedelta(seconds=10)
"""How long after a crash another process gets the unacknowledged messages."""
READS = 10
"""How often a cart is read again because something happened to it between reading and claiming."""


@service.resource
async def start_renderer(mesh: Mesh) -> AsyncIterator[OfferRenderer]:
    """Render workers, warm before the first offer."""
    async with open_offer_renderer(mesh) as renderer:
        yield renderer


@service.resource
async def start_mailer(renderer: OfferRenderer, mesh: Mesh) -> AsyncIterator[Mailer]:
    """Mail connections."""
    async with open_mailer(renderer, mesh) as mailer:
        yield mailer


@service.resource
async def start_text_sender(mailer: Mailer, mesh: Mesh, interest: Interest) -> AsyncIterator[TextSender]:
    """Connections to the provider of text messages. Without one no decision is delivered to `send_text`."""
    await interest.want(send_text, () if SMS.name in not_set_up() else (OfferDecided,))
    async with open_text_sender(mailer.renderer, mailer.journeys, mesh) as sender:
        yield sender


@service.resource
async def start_notification_sender(
    mailer: Mailer, mesh: Mesh, interest: Interest
) -> AsyncIterator[NotificationSender]:
    """Connections to push services. Without a key no decision is delivered to `send_notification`."""
    await interest.want(send_notification, () if PUSH.name in not_set_up() else (OfferDecided,))
    async with open_notification_sender(mailer.renderer, mailer.journeys, mesh) as sender:
        yield sender


@service.resource
async def open_confirmer(mailer: Mailer) -> AsyncIterator[Confirmer]:
    """Asks addresses to confirm, as the journeys in force want it."""
    yield Confirmer(mailer, mailer.journeys)


@service.resource
async def open_order_messages(mailer: Mailer, sender: TextSender, interest: Interest) -> AsyncIterator[OrderMessages]:
    """Sends the messages about orders. Without a provider of text messages no order is delivered to `text_buyer`."""
    await interest.want(text_buyer, () if SMS.name in not_set_up() else ORDER_EVENTS)
    yield OrderMessages(mailer.renderer.shop, OrderMail(mailer), OrderText(sender))


@service.on(OfferDecided, concurrency=64, ack_wait=REDELIVERED_AFTER)
async def send_mail(received: Received[OfferDecided], mesh: Mesh, mailer: Mailer) -> AsyncIterator[Change]:
    """Claim the offer, send it by e-mail, and record what became of it. Never sends twice."""
    if received.event.outcome == "approved" and "email" in received.event.channels:
        for change in await _delivered(received, mesh, mailer):
            yield change


@service.on(OfferDecided, concurrency=64, ack_wait=REDELIVERED_AFTER, as_wanted=True)
async def send_text(received: Received[OfferDecided], mesh: Mesh, sender: TextSender) -> AsyncIterator[Change]:
    """Claim the offer, send it as a text message, and record what became of it. Never sends twice."""
    if received.event.outcome == "approved" and SMS.name in received.event.channels:
        for change in await _delivered(received, mesh, sender):
            yield change


@service.on(OfferDecided, concurrency=64, ack_wait=REDELIVERED_AFTER, as_wanted=True)
async def send_notification(
    received: Received[OfferDecided], mesh: Mesh, sender: NotificationSender
) -> AsyncIterator[Change]:
    """Claim the offer, send it as a notification, and record what became of it. Never sends twice."""
    if received.event.outcome == "approved" and PUSH.name in received.event.channels:
        for change in await _delivered(received, mesh, sender):
            yield change


@service.on(OfferSendDue, concurrency=64, ack_wait=REDELIVERED_AFTER)
async def send_held_mail(
    received: Received[OfferSendDue], mesh: Mesh, mailer: Mailer, text: TextSender, notification: NotificationSender
) -> AsyncIterator[Change]:
    """Try an offer again that was held: for the night, or while sending to its recipient's domain was paused."""
    senders: dict[str, Sender] = {one.channel.name: one for one in (mailer, text, notification)}
    sender = senders[received.event.channel]
    for change in await _delivered(await _approved(received.event, mesh), mesh, sender):
        yield change


async def _delivered(decided: Received[OfferDecided], mesh: Mesh, sender: Sender) -> list[Change]:
    """The record of one attempt, however often the cart is changed meanwhile. Raises Retry."""
    with sender.attempts.alone(decided.event.offer_id):
        for turn in range(READS):
            try:
                return await deliver(decided, mesh, sender)
            except Conflict:
                await asyncio.sleep(0.005 * (turn + 1))
    raise Retry("the cart keeps changing", after=timedelta(milliseconds=200))


@service.on(OfferRequested, concurrency=32, ack_wait=REDELIVERED_AFTER)
async def show_card(received: Received[OfferRequested], mesh: Mesh, renderer: OfferRenderer) -> AsyncIterator[Change]:
    """Make the card of an offer whose shopper has a page open: plain text in their language. Once for each offer."""
    decided = await _approved(received.event, mesh)
    offer, reading = decided.event, await read_delivery(decided.event, mesh, ONSITE)
    state = delivery_state(decided, reading.history, ONSITE.name)
    if state.settled:
        return
    if refusal := _not_shown(decided, state, reading):
        yield withdrawn(offer, ONSITE.name, refusal)
        return
    try:
        rendered = await renderer.rendered(offer, reading)
    except TemplateError as error:
        yield failed(offer, ONSITE.name, str(error))
        return
    card = Card(
        title=rendered.card.title,
        body=rendered.card.body,
        action=rendered.card.action,
        url=cart_url(offer, renderer.shop),
        coupon=offer.coupon,
    )
    yield OfferSent(
        cart_id=offer.cart_id,
        visitor_id=offer.visitor_id,
        offer_id=offer.offer_id,
        channel=ONSITE.name,
        card=card,
        **run_fields(offer),
    )
    ends = (CartConverted, CartClosed) if has_cart(offer.trigger) else ()
    for condition in reading.history.unchanged(OfferSent, *ends):
        yield condition
    for condition in reading.nothing_bought(mesh.region):
        yield condition


async def _approved(requested: OfferRequested | OfferSendDue, mesh: Mesh) -> Received[OfferDecided]:
    """The decision that approved the offer. Raises Retry where it cannot be read yet."""
    history = await mesh.history(requested.cart_id, OfferDecided)
    for one in history.of(OfferDecided):
        if one.event.offer_id == requested.offer_id and one.event.outcome == "approved":
            return one
    raise Retry(f"the decision about offer {requested.offer_id} cannot be read yet", after=timedelta(milliseconds=200))


def _not_shown(decided: Received[OfferDecided], state: DeliveryState, reading: Reading) -> str | None:
    """Why the card must not be shown after all, if anything has changed since the decision."""
    if bought := state.bought or reading.bought_since(decided):
        return f"bought before it was shown: order {bought}"
    if ONSITE.name in reading.profile.unsubscribed or reading.profile.consent.get(ONSITE.name) is False:
        return "refused before it was shown"
    if reading.over:
        return reading.over
    if decided.event.lines and not reading.offered.lines:
        return "nothing in the cart can be bought any more"
    return None


@service.on(ConsentChanged, CustomerIdentified, concurrency=16, ack_wait=REDELIVERED_AFTER)
async def ask_to_confirm(
    received: Received[ConsentChanged | CustomerIdentified], mesh: Mesh, confirmer: Confirmer
) -> AsyncIterator[Change]:
    """Ask by a mail whether the address may be written to, where journeys mail confirmed addresses alone."""
    for change in await confirmer.ask(received, mesh):
        yield change


@service.on(CustomerUnsubscribed, ack_wait=REDELIVERED_AFTER)
async def name_refused_offer(received: Received[CustomerUnsubscribed]) -> AsyncIterator[Change]:
    """Say of which offer somebody unsubscribed, for figures of the whole mesh: who they are stays in the region."""
    if offer := received.event.offer_id:
        yield OfferUnsubscribed(offer_id=offer, channel=received.event.channel)


@service.on(*ORDER_EVENTS, concurrency=32, ack_wait=REDELIVERED_AFTER)
async def tell_buyer(received: Received[OrderEvent], mesh: Mesh, messages: OrderMessages) -> AsyncIterator[Change]:
    """Mail what happened to an order to the address that the order names, whatever was refused of offers. Once."""
    for change in await messages.send(received, mesh, EMAIL.name):
        yield change


@service.on(*ORDER_EVENTS, concurrency=32, ack_wait=REDELIVERED_AFTER, as_wanted=True)
async def text_buyer(received: Received[OrderEvent], mesh: Mesh, messages: OrderMessages) -> AsyncIterator[Change]:
    """Text it to the buyer's number, where the template says so or there is no e-mail address. Once."""
    for change in await messages.send(received, mesh, SMS.name):
        yield change


@service.answers
async def show_mail(asked: MailAsked, mesh: Mesh, renderer: OfferRenderer) -> MailShown:
    """Render a mail that was sent again, for somebody who may see what is known of its shopper."""
    return await shown_mail(asked, mesh, renderer)


@service.answers
async def try_mail(asked: MailTried, mesh: Mesh, renderer: OfferRenderer) -> MailShown:
    """Render a template that is edited for a real cart, for somebody who may see what is known of its shopper."""
    return await tried_mail(asked, mesh, renderer)


@service.answers
async def count_languages(asked: LanguagesAsked, mesh: Mesh) -> LanguagesCounted:
    """Count in which languages some mails would be, for a rehearsal."""
    return await counted_languages(asked, mesh)


@service.answers
async def test_text(asked: TextTested, sender: TextSender) -> TestedText:
    """Send a text message of a template that is edited to a number that its editor typed."""
    return await tested_text(asked, sender)
