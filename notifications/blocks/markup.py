"""Markup: what stands around the blocks of a mail in MJML: its head, the sheet, what is above and below it."""

import re

import msgspec

from notifications.blocks.block import Brand, Footer, Header, Recommendations
from notifications.blocks.words import is_colour

is_font = re.compile(r"[\w ,'\-]{1,200}").fullmatch


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A block as MJML and as plain text, both in Jinja."""

    mjml: str
    text: str


def slot(key: str) -> str:
    """A text in its place."""
    return f'{{{{ written["{key}"] }}}}'


def colour(written: str, otherwise: str) -> str:
    """A colour as CSS may have it, else another one."""
    return written if is_colour(written) else otherwise


def readable_on(background: str) -> str:
    """Black or white: which of the two is easier to read on a colour (WCAG 2.2, relative luminance)."""
    digits = background[1:] if len(background) == 7 else "".join(2 * one for one in background[1:])
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#1c1917" if (luminance + 0.05) / 0.0603 > 1.05 / (luminance + 0.05) else "#ffffff"


def head(brand: Brand) -> str:
    """The beginning of a mail."""
    font = brand.font if is_font(brand.font) else Brand().font
    return f"""<mjml lang="{{{{ language }}}}">
<mj-head>
<mj-title>{{{{ say.subject }}}}</mj-title>
<mj-preview>{{{{ say.preheader }}}}</mj-preview>
<mj-attributes>
<mj-all font-family="{font}" />
<mj-text color="{colour(brand.ink, Brand().ink)}" font-size="16px" line-height="1.6" padding="8px 16px" />
<mj-button padding="12px 16px" />
<mj-section padding="0" />
<mj-column padding="0" />
</mj-attributes>
<mj-style>
a {{ color: inherit; }}
.line td {{ border-bottom: 1px solid #eceae7; }}
@media (min-width: 480px) {{
.picture, .words {{ display: block !important; width: 100% !important; padding: 0 !important; }}
.picture img, .picture .tile {{ width: 100% !important; }}
.words {{ padding-top: 8px !important; }}
}}
@media (prefers-color-scheme: dark) {{
body, .page, .page > table {{ background: #141211 !important; }}
.sheet > table, .sheet {{ background: #1f1c1a !important; }}
.sheet div, .sheet td, .sheet p, .sheet span {{ color: #f3efea !important; }}
.sheet .quiet, .sheet .quiet div, .foot div {{ color: #a8a29e !important; }}
.line td, .sheet p {{ border-color: #3a3531 !important; }}
.ticket .frame {{ background: #2b2521 !important; border-color: #6b5434 !important; }}
.tile {{ background: #37302b !important; }}
.button td, .button td * {{ background: #f3efea !important; color: #1c1917 !important; }}
.own td, .own td * {{ color: inherit !important; }}
}}
</mj-style>
</mj-head>
<mj-body background-color="{colour(brand.page, Brand().page)}" width="600px" css-class="page">"""


def end() -> str:
    """The end of a mail."""
    return "</mj-body>\n</mjml>"


def sheet_start(brand: Brand) -> str:
    """The sheet that blocks stand on begins."""
    paper = colour(brand.sheet, Brand().sheet)
    return f'<mj-wrapper css-class="sheet" background-color="{paper}" border-radius="14px" padding="24px 16px">'


def sheet_end() -> str:
    """The sheet ends."""
    return "</mj-wrapper>"


def outer(prefix: str, block: Header | Footer, brand: Brand) -> Part:
    """What stands above or below the sheet, on the colour of the page."""
    quiet, key = colour(brand.quiet, Brand().quiet), f"{prefix}{block.id}.text"
    if isinstance(block, Header):
        style, padding = 'font-size="15px" font-weight="700" letter-spacing="2px"', "28px 16px 20px"
    else:
        style, padding = f'font-size="13px" color="{quiet}"', "20px 16px 40px"
    mjml = f"""<mj-section css-class="page" padding="{padding}"><mj-column>
<mj-text align="center" {style} css-class="foot">{slot(key)}</mj-text>
</mj-column></mj-section>"""
    return Part(mjml=mjml, text=f"{'--' if isinstance(block, Footer) else ''}\n{slot(key)}\n")


def recommended_tiles(prefix: str, block: Recommendations, brand: Brand) -> str:
    """Recommended products side by side."""
    quiet = colour(brand.quiet, Brand().quiet)
    key = f"{prefix}{block.id}.title"
    return f"""{{% if recommended %}}
{{% if written["{key}"] %}}
<mj-section><mj-column><mj-text font-size="18px" font-weight="700">{slot(key)}</mj-text></mj-column></mj-section>
{{% endif %}}
<mj-section padding="0 8px 8px" text-align="left">
{{% for line in recommended[:{block.most}] %}}
<mj-column width="33.333%" padding="0 8px" vertical-align="top">
<mj-table font-size="14px" line-height="1.4" color="{colour(brand.ink, Brand().ink)}" padding="8px 0"><tr>
<td class="picture" style="width: 96px; vertical-align: top; padding: 0;">{product_picture(88)}</td>
<td class="words" style="vertical-align: top; padding: 0 0 0 8px;">{product_words(quiet)}</td>
</tr></mj-table>
</mj-column>
{{% endfor %}}
</mj-section>
{{% endif %}}"""


def product_picture(size: int) -> str:
    """The picture of `line`, or a tile with its first letter."""
    image = f'src="{{{{ line.image }}}}" width="{size}" alt="" style="width: {size}px; height: auto; '
    tile = f"width: {size}px; height: {size}px; line-height: {size}px; font-size: {size // 3}px; "
    return (
        f'{{% if line.image %}}<img {image}border-radius: 10px; display: block;" />'
        f'{{% else %}}<div class="tile" style="{tile}border-radius: 10px; background: #f1e9de; color: #8a6d3b; '
        'text-align: center; font-weight: 600;">{{ line | initial }}</div>{% endif %}'
    )


def product_words(quiet: str) -> str:
    """The name of `line` with its link, its price, and why it is recommended."""
    return (
        '<div style="font-weight: 600;">{% if line.url %}<a href="{{ line.url }}" style="text-decoration: none;">'
        "{{ line | label }}</a>{% else %}{{ line | label }}{% endif %}</div>"
        f'<div class="quiet" style="color: {quiet};">{{{{ line.price | money }}}}</div>'
        "{% if line.because %}"
        f'<div class="quiet" style="padding-top: 4px; color: {quiet}; font-size: 12px;">{{{{ line.because }}}}</div>'
        "{% endif %}"
    )
