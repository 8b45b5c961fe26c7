"""The form of a journey as a browser without JavaScript would send it."""

from html.parser import HTMLParser

from playwright.async_api import Page


async def unfold(page: Page) -> None:
    """Open what is folded up under More settings, as a browser's user would."""
    folded = page.locator("details.more:not([open]) > summary")
    while await folded.count():
        await folded.first.click()


class Fields(HTMLParser):
    """The texts that a browser would send of the form `journey`, in the order of the page."""

    def __init__(self, page):
        super().__init__()
        self.sent, self._form, self._select, self._area = [], False, None, None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "form":
            self._form = found.get("id") == "journey"
        if not self._form or ("name" not in found and tag != "option"):
            return
        if tag == "input" and (found.get("type") != "checkbox" or "checked" in found):
            self.sent.append((found["name"], found.get("value", "on")))
        elif tag == "select":
            self._select = found["name"]
        elif tag == "option" and "selected" in found and self._select:
            self.sent.append((self._select, found["value"]) if "value" in found else (self._select, None))
        elif tag == "textarea":
            self._area = found["name"]

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = False
        if tag in ("select", "textarea"):
            self._select = self._area = None

    def handle_data(self, data):
        if self._area:
            self.sent.append((self._area, data.removeprefix("\n").replace("\n", "\r\n")))
        elif self._select and self.sent and self.sent[-1] == (self._select, None):
            self.sent[-1] = (self._select, data)
