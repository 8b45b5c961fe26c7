"""Troubles: what of the sender's settings stops or endangers mails, in a few words each."""

from collections.abc import Iterator

from mesh.settings import read
from notifications.channels.email_message import MailSettings
from notifications.channels.smtp import SmtpSettings
from notifications.sender_records import SenderSettings, sender_records
from notifications.template_variables import Shop


def sender_troubles() -> Iterator[str]:
    """What is not set: the shop's postal address, or what the records SPF and DKIM are made of."""
    if not read(Shop).shop_address:
        yield "they name no postal address, which the law of many countries demands"
    mail, smtp = read(MailSettings), read(SmtpSettings)
    records = sender_records(read(SenderSettings), mail_from=mail.mail_from, smtp_host=smtp.smtp_host)
    if missing := [one.kind for one in records if not one.value and one.kind != "DMARC"]:
        yield f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set, so that many end up in spam"
