"""The inbox's page: what arrived, as its reader sees it."""

from html import escape

from litestar import Litestar, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery

from notifications.inbox.store import Inbox, Mail
from notifications.pages import HEADERS, page

SHOWN = 200
STYLE = """
header { padding: 1.1rem 1.5rem; border-bottom: 1px solid var(--line); background: var(--sheet); display: flex;
  gap: 1rem; align-items: baseline; }
header h1 { font-size: 1.1rem; margin: 0; } header span, .time, .to { color: var(--quiet); font-size: .85rem; }
header a { margin-left: auto; font-size: .9rem; }
main.two { display: grid; grid-template-columns: 24rem 1fr; min-height: calc(100vh - 4rem); }
nav { border-right: 1px solid var(--line); background: var(--sheet); max-height: calc(100vh - 4rem); overflow: auto; }
nav a { display: block; padding: .9rem 1.5rem; color: inherit; text-decoration: none;
  border-bottom: 1px solid var(--line); }
nav a:hover, nav a[aria-current] { background: var(--paper); }
nav a[aria-current] { box-shadow: inset 3px 0 var(--accent); }
nav b { display: block; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.row { display: flex; justify-content: space-between; gap: 1rem; }
.to { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
article { padding: 1.5rem; min-width: 0; } article h2 { margin: 0 0 .25rem; font-size: 1.3rem; }
article p { margin: 0 0 1rem; color: var(--quiet); font-size: .85rem; overflow-wrap: anywhere; }
iframe { width: 100%; height: calc(100vh - 12rem); border: 1px solid var(--line); border-radius: 12px;
  background: #fff; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--sheet); padding: 1.5rem; border-radius: 12px;
  border: 1px solid var(--line); margin: 0; }
.tabs { display: flex; gap: 1.25rem; margin-bottom: 1rem; } .tabs a[aria-current] { color: inherit; font-weight: 600;
  text-decoration: none; }
.empty { padding: 20vh 1.5rem; text-align: center; color: var(--quiet); }
@media (max-width: 56rem) { main.two { grid-template-columns: 1fr; } nav { border: 0; max-height: none; }
  .open nav { display: none; } article { padding: 1rem; } iframe { height: 75vh; } }
"""
FRAMED = {
    **HEADERS,
    "Content-Security-Policy": "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline';"
    " img-src https: http: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
}


def app(box: Inbox) -> Litestar:
    """A list of the newest mails, each with its HTML (in a sandbox) and its text."""

    @get("/", media_type="text/html")
    async def newest() -> Response[str]:
        """The list, and the newest mail."""
        return _page(box, box.mails[-1] if box.mails else None, "html", opened=False)

    @get("/mails/{number:int}", media_type="text/html")
    async def mail(number: FromPath[int], view: FromQuery[str] = "html") -> Response[str]:
        """One mail."""
        return _page(box, _find(box, number), "text" if view == "text" else "html", opened=True)

    @get("/mails/{number:int}/body", media_type="text/html")
    async def body(number: FromPath[int]) -> Response[str]:
        """The HTML that was sent, without scripts, forms or our origin."""
        return Response(_part(box, _find(box, number), "html"), media_type="text/html", headers=dict(FRAMED))

    return Litestar([newest, mail, body], openapi_config=None, logging_config=None)


def _page(box: Inbox, shown: Mail | None, view: str, *, opened: bool) -> Response[str]:
    count = f"{len(box.mails):,} mail{'' if len(box.mails) == 1 else 's'}"
    back = '<a href="/">All mails</a>' if opened else '<a href="/">Refresh</a>'
    top = f"<header><h1>Inbox</h1><span>{count}</span>{back}</header>"
    if shown is None:
        text = f'{top}<div class="empty">Nothing has arrived yet. Mails to port {box.smtp_port} appear here.</div>'
        return Response(page("Inbox", text, style=STYLE), media_type="text/html", headers=dict(HEADERS))
    rows = "".join(_row(mail, mail.number == shown.number) for mail in reversed(box.mails[-SHOWN:]))
    body = f'{top}<main class="two {"open" if opened else ""}"><nav>{rows}</nav>{_article(box, shown, view)}</main>'
    return Response(page(shown.subject or "Inbox", body, style=STYLE), media_type="text/html", headers=dict(HEADERS))


def _row(mail: Mail, current: bool) -> str:
    marked = ' aria-current="true"' if current else ""
    return (
        f'<a href="/mails/{mail.number}"{marked}><b>{escape(mail.subject) or "(no subject)"}</b>'
        f'<div class="row"><span class="to">{escape(", ".join(mail.recipients))}</span>'
        f'<span class="time">{mail.received:%H:%M:%S}</span></div></a>'
    )


def _article(box: Inbox, mail: Mail, view: str) -> str:
    where = f"/mails/{mail.number}"
    tabs = "".join(
        f'<a href="{where}?view={name}"{" aria-current=true" if name == view else ""}>{label}</a>'
        for name, label in (("html", "HTML"), ("text", "Text"))
    )
    if view == "text":
        content = f"<pre>{escape(_part(box, mail, 'plain'))}</pre>"
    else:
        content = f'<iframe sandbox="allow-popups" title="The mail" src="{where}/body"></iframe>'
    return (
        f"<article><h2>{escape(mail.subject)}</h2><p>From {escape(mail.sender)} to"
        f" {escape(', '.join(mail.recipients))}, {mail.received:%Y-%m-%d %H:%M:%S.%f} UTC<br>"
        f"{escape(mail.message_id)}</p>"
        f'<div class="tabs">{tabs}</div>{content}</article>'
    )


def _part(box: Inbox, mail: Mail, kind: str) -> str:
    part = box.opened(mail).get_body((kind,))
    return str(part.get_content()) if part else "This mail has no such part."


def _find(box: Inbox, number: int) -> Mail:
    if not 1 <= number <= len(box.mails):
        raise NotFoundException(f"no mail {number}")
    return box.mails[number - 1]
