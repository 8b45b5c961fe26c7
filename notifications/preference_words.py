"""Preference words: the texts of the preference page by language, and how its form looks."""

from notifications.link_pages import Words

WORDS: Words = {
    "en": {
        "title": "What may we send you?",
        "intro": "Choose what you want to get. Nothing changes until you save.",
        "saved": "Saved",
        "now": "This holds from now on, on all of your devices.",
        "label": "{purpose}, {channel}",
        "purpose marketing": "Offers and reminders",
        "channel email": "by e-mail",
        "channel onsite": "on the shop's pages",
        "channel sms": "by SMS",
        "channel push": "as notifications",
        "yes": "Yes",
        "no": "No",
        "save": "Save",
        "stop": "Stop everything",
        "orders": "Mails about your orders always come: they say what becomes of what you bought.",
        "old": "This link is too old to allow anything: use one from a newer mail, or allow it in the shop.",
    },
    "de": {
        "title": "Was dürfen wir Ihnen schicken?",
        "intro": "Wählen Sie, was Sie bekommen möchten. Bis Sie speichern, ändert sich nichts.",
        "saved": "Gespeichert",
        "now": "Das gilt ab jetzt, auf allen Ihren Geräten.",
        "label": "{purpose} {channel}",
        "purpose marketing": "Angebote und Erinnerungen",
        "channel email": "per E-Mail",
        "channel onsite": "auf den Seiten des Shops",
        "channel sms": "per SMS",
        "channel push": "als Mitteilung",
        "yes": "Ja",
        "no": "Nein",
        "save": "Speichern",
        "stop": "Alles abbestellen",
        "orders": "E-Mails zu Ihren Bestellungen kommen immer: Sie sagen, was aus Ihrem Einkauf wird.",
        "old": "Zum Erlauben ist dieser Link zu alt: Nehmen Sie einen neueren, oder erlauben Sie es im Shop.",
    },
    "ja": {
        "title": "配信設定",
        "intro": "受け取りたいお知らせをお選びください。保存するまで設定は変更されません。",
        "saved": "保存しました",
        "now": "この設定は、お使いのすべての端末に適用されます。",
        "label": "{purpose}({channel})",
        "purpose marketing": "特典とリマインダー",
        "channel email": "メール",
        "channel onsite": "ショップのページ",
        "channel sms": "SMS",
        "channel push": "プッシュ通知",
        "yes": "受け取る",
        "no": "受け取らない",
        "save": "保存する",
        "stop": "すべて停止する",
        "orders": "ご注文に関するメールは、この設定にかかわらず届きます。",
        "old": "このリンクは古いため、許可には使えません。新しいメールのリンクか、ショップの設定をご利用ください。",
    },
}
STYLE = """
fieldset { border: 0; border-top: 1px solid var(--line); margin: 0; padding: 1rem 0; }
legend { float: left; width: 100%; font-weight: 600; padding: 0 0 .25rem; }
fieldset label { display: inline-flex; align-items: center; gap: .5rem; min-height: 44px; margin-right: 1.5rem; }
input[type=radio] { width: 1.15rem; height: 1.15rem; accent-color: var(--accent); }
input:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.card .always { border-top: 1px solid var(--line); padding-top: 1rem; }
.buttons { display: flex; flex-wrap: wrap; gap: .75rem; }
button.second { background: none; color: var(--ink); box-shadow: inset 0 0 0 1px var(--quiet); }
"""
