"""Pages: the small HTML pages of links and inbox, with the headers that keep them harmless."""

from html import escape

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:;"
    " form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
STYLE = """
:root { color-scheme: light dark; --ink: #1c1917; --quiet: #6f6862; --paper: #f4f1ed; --sheet: #fff; --line: #e7e2dc;
  --accent: #8a5a14; }
@media (prefers-color-scheme: dark) { :root { --ink: #f3efea; --quiet: #a8a29e; --paper: #141211; --sheet: #1f1c1a;
  --line: #37322e; --accent: #e0b070; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Hiragino Sans", "Noto Sans JP", sans-serif; }
a { color: var(--accent); }
button { font: inherit; font-weight: 600; border: 0; border-radius: 10px; padding: 14px 24px; cursor: pointer;
  background: var(--ink); color: var(--sheet); }
button:focus-visible, a:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.card { max-width: 30rem; margin: 12vh auto; padding: 2.5rem; background: var(--sheet); border-radius: 16px; }
.card h1 { margin: 0 0 .5rem; font-size: 1.6rem; line-height: 1.2; }
.card p { margin: 0 0 1.5rem; color: var(--quiet); }
@media (max-width: 34rem) { .card { margin: 1rem; padding: 1.5rem; } }
"""


def page(title: str, body: str, *, language: str = "en", style: str = "") -> str:
    """A whole HTML document around `body` (markup); `title` is text."""
    return (
        f'<!doctype html><html lang="{escape(language)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex"><title>{escape(title)}</title><style>{STYLE}{style}</style></head>'
        f"<body>{body}</body></html>"
    )
