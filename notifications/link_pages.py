"""Link pages: the small pages behind the links in mails, in the reader's language. No cookie, no script."""

from collections.abc import Mapping
from html import escape
from typing import Any

from litestar import Request, Response

from notifications.pages import HEADERS, page

Words = Mapping[str, Mapping[str, str]]
"""A page's texts by language and name; English is among the languages."""
COMMON: Words = {
    "en": {
        "wrong": "This link does not work",
        "help": "It is incomplete or not ours. Please use the link from the e-mail itself, whole.",
        "later": "Please try again in a moment",
        "sorry": "We could not record it just now, and nothing was changed.",
    },
    "de": {
        "wrong": "Dieser Link gilt nicht",
        "help": "Er ist unvollständig oder nicht von uns. Bitte nehmen Sie den ganzen Link aus der E-Mail.",
        "later": "Bitte gleich noch einmal versuchen",
        "sorry": "Wir konnten es gerade nicht speichern; es hat sich nichts geändert.",
    },
    "ja": {
        "wrong": "このリンクは無効です",
        "help": "リンクが途中で切れているか、当店のものではありません。メール内のリンクをそのままお使いください。",
        "later": "しばらくしてからもう一度お試しください",
        "sorry": "ただいま記録できませんでした。設定は変更されていません。",
    },
}


class LinkPages:
    """Pages with these texts, and those that all of them need."""

    def __init__(self, words: Words) -> None:
        self._words = {language: {**COMMON[language], **texts} for language, texts in words.items()}

    def ask(self, request: Request[Any, Any, Any], title: str, text: str, button: str) -> Response[str]:
        """A question with a button, which alone changes something: programs fetch links in advance."""
        words = self._words[self._language(request)]
        form = f'<form method="post"><button>{escape(words[button])}</button></form>'
        return self.show(request, title, text, more=form)

    def words(self, request: Request[Any, Any, Any]) -> Mapping[str, str]:
        """The texts in the reader's language."""
        return self._words[self._language(request)]

    def wording(self, request: Request[Any, Any, Any], *names: str) -> str:
        """What stands on the page, as the proof of what somebody agreed to."""
        return " ".join(self.words(request)[name] for name in names)

    def show(
        self,
        request: Request[Any, Any, Any],
        title: str,
        text: str,
        *,
        more: str = "",
        style: str = "",
        status: int = 200,
    ) -> Response[str]:
        """A page of two texts; `more` is markup behind them, and `style` how that looks."""
        language = self._language(request)
        words = self._words[language]
        body = f'<main class="card"><h1>{escape(words[title])}</h1><p>{escape(words[text])}</p>{more}</main>'
        markup = page(words[title], body, language=language, style=style)
        return Response(markup, media_type="text/html", status_code=status, headers=dict(HEADERS))

    def refuse(self, request: Request[Any, Any, Any]) -> Response[str]:
        """The link is not ours."""
        return self.show(request, "wrong", "help", status=400)

    def unavailable(self, request: Request[Any, Any, Any]) -> Response[str]:
        """It could not be stored."""
        later = self.show(request, "later", "sorry", status=503)
        later.headers["Retry-After"] = "5"
        return later

    def _language(self, request: Request[Any, Any, Any]) -> str:
        for part in request.headers.get("accept-language", "").split(","):
            language = part.partition(";")[0].strip().lower()[:2]
            if language in self._words:
                return language
        return "en"
