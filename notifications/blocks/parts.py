"""Parts: each block as MJML for a column, and as plain text. Both are Jinja; texts stand in them by their names."""

from collections.abc import Callable
from typing import Any

from notifications.blocks.block import (
    Brand,
    Button,
    CartLines,
    Code,
    Coupon,
    Divider,
    Heading,
    Image,
    Paragraphs,
    Recommendations,
)
from notifications.blocks.markup import Part, colour, product_picture, product_words, readable_on, slot


def part(prefix: str, block: Any, brand: Brand) -> Part:
    """A block within a column. `prefix` is what the names of its texts begin with."""
    made = _MADE[type(block)]
    return made(f"{prefix}{block.id}", block, brand)


def _heading(key: str, block: Heading, brand: Brand) -> Part:  # noqa: ARG001  as all of them
    size = {"large": ("30px", "1.2"), "small": ("20px", "1.3")}[block.size]
    style = f'font-size="{size[0]}" line-height="{size[1]}" font-weight="700"'
    text = slot(f"{key}.text")
    return Part(mjml=f'<mj-text {style} align="{block.align}">{text}</mj-text>\n', text=f"{text}\n")


def _paragraphs(key: str, block: Paragraphs, brand: Brand) -> Part:
    text, quiet = slot(f"{key}.text"), colour(brand.quiet, Brand().quiet)
    small = f' font-size="13px" color="{quiet}" css-class="quiet"' if block.size == "small" else ""
    return Part(mjml=f'<mj-text align="{block.align}"{small}>{text}</mj-text>\n', text=f"{text}\n")


def _image(key: str, block: Image, brand: Brand) -> Part:  # noqa: ARG001
    alt = "" if block.decorates else slot(f"{key}.alt")
    link = f' href="{slot(f"{key}.href")}"' if block.href.strip() else ""
    width = f' width="{block.width}px"' if 0 < block.width <= 600 else ""
    mjml = f'<mj-image src="{slot(f"{key}.src")}" alt="{alt}"{link}{width} padding="8px 16px" border-radius="8px" />\n'
    address = f": {slot(f'{key}.href')}" if block.href.strip() else ""
    return Part(mjml=mjml, text="" if block.decorates else f"{slot(f'{key}.alt')}{address}\n")


def _button(key: str, block: Button, brand: Brand) -> Part:
    own = block.colour or (brand.button if brand.button != Brand().button else "")
    background = colour(own, Brand().button)
    words = readable_on(background) if block.colour else colour(brand.button_text, Brand().button_text)
    text, href = slot(f"{key}.text"), slot(f"{key}.href")
    style = f'background-color="{background}" color="{words}" font-size="17px" font-weight="600" border-radius="10px"'
    named = "own" if own else "button"
    mjml = f'<mj-button css-class="{named}" href="{href}" {style} inner-padding="16px 32px">{text}</mj-button>\n'
    there = f'{{% if written["{key}.href"] %}}\n'  # a variable may have no value: an order without a page
    return Part(mjml=f"{there}{mjml}{{% endif %}}\n", text=f"{there}{text}: {href}\n{{% endif %}}\n")


def _lines(key: str, block: CartLines, brand: Brand) -> Part:  # noqa: ARG001  its texts have their own names
    ink, quiet = colour(brand.ink, Brand().ink), colour(brand.quiet, Brand().quiet)
    title, total, reduced, more = (slot(f"{key}.{field}") for field in ("title", "total", "reduced", "more"))
    mjml = f"""{{% if written["{key}.title"] %}}
<mj-text font-size="13px" css-class="quiet" color="{quiet}" padding-bottom="4px">{title}</mj-text>
{{% endif %}}
<mj-table font-size="16px" line-height="1.4" color="{ink}" padding="0 16px" css-class="line">
{{% for line in lines %}}
<tr><td style="padding: 14px 0; width: 76px;">{product_picture(60)}</td>
<td style="padding: 14px 12px 14px 0;">{_NAME}{{% if line.quantity > 1 %}}<br />
<span class="quiet" style="font-size: 14px; color: {quiet};">{_MANY}</span>
{{% endif %}}</td>
<td style="padding: 14px 0; text-align: right; white-space: nowrap;">{{{{ line.sum | money }}}}</td></tr>
{{% endfor %}}
{{% if more_lines %}}
<tr><td colspan="3" class="quiet" style="padding: 14px 0; color: {quiet};">{more}</td></tr>
{{% endif %}}
{{% if total is defined %}}
<tr><td colspan="2" style="padding: 16px 0; border: 0; font-weight: 700;">{total}</td>
<td style="padding: 16px 0; border: 0; font-weight: 700; text-align: right;">{{{{ total | money }}}}</td></tr>
{{% endif %}}
{{% if reduced is defined and reduced %}}
<tr><td colspan="2" style="padding: 0 0 16px; border: 0; font-weight: 700;">{reduced}</td>
<td style="padding: 0 0 16px; border: 0; font-weight: 700; text-align: right;">{{{{ reduced | money }}}}</td></tr>
{{% endif %}}
</mj-table>
"""
    text = f"""{title}
{{% for line in lines %}}
- {{{{ line.quantity }}}} {_TIMES} {{{{ line | label }}}}: {{{{ line.sum | money }}}}
{{% endfor %}}
{{% if more_lines %}}
{more}
{{% endif %}}
{{% if total is defined %}}
{total}: {{{{ total | money }}}}
{{% endif %}}
{{% if reduced is defined and reduced %}}
{reduced}: {{{{ reduced | money }}}}
{{% endif %}}
"""
    return Part(mjml=mjml, text=text)


_TIMES = "\N{MULTIPLICATION SIGN}"
_MANY = f"{{{{ line.quantity }}}} {_TIMES} {{{{ line.price | money }}}}"
_NAME = (
    '{% if line.url %}<a href="{{ line.url }}" style="text-decoration: none; font-weight: 600;">{{ line | label }}</a>'
    '{% else %}<span style="font-weight: 600;">{{ line | label }}</span>{% endif %}'
)


def _recommendations(key: str, block: Recommendations, brand: Brand) -> Part:
    quiet, title = colour(brand.quiet, Brand().quiet), slot(f"{key}.title")
    mjml = f"""{{% if recommended %}}
{{% if written["{key}.title"] %}}
<mj-text font-size="18px" font-weight="700">{title}</mj-text>
{{% endif %}}
<mj-table font-size="14px" line-height="1.4" color="{colour(brand.ink, Brand().ink)}" padding="0 16px">
{{% for line in recommended[:{block.most}] %}}
<tr><td style="width: 76px; padding: 8px 0; vertical-align: top;">{product_picture(60)}</td>
<td style="padding: 8px 0; vertical-align: top;">{product_words(quiet)}</td></tr>
{{% endfor %}}
</mj-table>
{{% endif %}}
"""
    text = f"""{{% if recommended %}}
{title}
{{% for line in recommended[:{block.most}] %}}
- {{{{ line | label }}}}: {{{{ line.price | money }}}}{{% if line.url %}} {{{{ line.url }}}}{{% endif %}}

{{% endfor %}}
{{% endif %}}
"""
    return Part(mjml=mjml, text=text)


def _coupon(key: str, block: Coupon, brand: Brand) -> Part:  # noqa: ARG001
    quiet, label, note = colour(brand.quiet, Brand().quiet), slot(f"{key}.label"), slot(f"{key}.note")
    frame = "border: 1px dashed #d6b98c; border-radius: 12px; background: #faf3e7; padding: 16px;"
    mono = "font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 20px; font-weight: 700;"
    small = f"color: {quiet}; font-size: 13px;"
    mjml = f"""{{% if coupon is defined and coupon %}}
<mj-text align="center" css-class="ticket"><div class="frame" style="{frame}">
<div class="quiet" style="{small}">{label}</div>
<div style="{mono}">{{{{ coupon }}}}</div>
<div class="quiet" style="{small}">{note}</div>
</div></mj-text>
{{% endif %}}
"""
    text = f"{{% if coupon is defined and coupon %}}\n{label}: {{{{ coupon }}}}\n{note}\n{{% endif %}}\n"
    return Part(mjml=mjml, text=text)


def _divider(key: str, block: Divider, brand: Brand) -> Part:  # noqa: ARG001
    line = colour(block.colour, "#eceae7")
    return Part(mjml=f'<mj-divider border-width="1px" border-color="{line}" padding="16px" />\n', text="")


def _code(key: str, block: Code, brand: Brand) -> Part:  # noqa: ARG001
    return Part(mjml=f"{slot(f'{key}.mjml')}\n", text="")


_MADE: dict[type, Callable[[str, Any, Brand], Part]] = {
    Heading: _heading,
    Paragraphs: _paragraphs,
    Image: _image,
    Button: _button,
    CartLines: _lines,
    Recommendations: _recommendations,
    Coupon: _coupon,
    Divider: _divider,
    Code: _code,
}
