"""Marks: how a feature of caniemail.com is recognised in the code of a mail, MJML or HTML."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache

PROPERTIES = """
    accent-color align-items animation aspect-ratio backdrop-filter background-blend-mode background-clip
    background-image background-origin background-position background-repeat background-size border-collapse
    border-image border-radius border-spacing box-shadow box-sizing caption-side clear clip-path color-scheme
    column-count cursor empty-cells filter flex-direction flex-wrap float font-kerning font-stretch gap hyphens inset
    justify-content letter-spacing list-style-image list-style-position list-style-type mask-image max-height max-width
    min-height min-width mix-blend-mode object-fit object-position opacity outline outline-offset overflow overflow-wrap
    position resize shape-outside tab-size table-layout text-align-last text-decoration-color text-decoration-style
    text-decoration-thickness text-emphasis text-indent text-justify text-orientation text-overflow text-shadow
    text-transform text-underline-offset text-wrap transform transition user-select visibility white-space word-break
    word-spacing writing-mode z-index
"""
"""Properties of CSS; MJML has attributes of the same names."""
ELEMENTS = "audio base dialog form link marquee meter object picture progress ruby select svg textarea video"
PATTERNS: Mapping[str, str] = {
    "css-at-font-face": r"@font-face\b",
    "css-at-import": r"@import\b",
    "css-at-keyframes": r"@keyframes\b",
    "css-at-media": r"@media\b",
    "css-at-media-hover": r"@media[^{]*\(\s*(?:any-)?hover\b",
    "css-at-media-orientation": r"@media[^{]*\(\s*orientation\b",
    "css-at-media-prefers-color-scheme": r"@media[^{]*\(\s*prefers-color-scheme\b",
    "css-at-media-prefers-reduced-motion": r"@media[^{]*\(\s*prefers-reduced-motion\b",
    "css-at-supports": r"@supports\b",
    "css-conic-gradient": r"\bconic-gradient\(",
    "css-display-flex": r"\bdisplay\s*:\s*(?:inline-)?flex\b",
    "css-display-grid": r"\bdisplay\s*:\s*(?:inline-)?grid\b",
    "css-display-none": r"\bdisplay\s*:\s*none\b",
    "css-function-clamp": r"\bclamp\(",
    "css-function-light-dark": r"\blight-dark\(",
    "css-function-max": r":[^;{}\"]*\bmax\(",
    "css-function-min": r":[^;{}\"]*\bmin\(",
    "css-linear-gradient": r"\blinear-gradient\(",
    "css-modern-color": r"\b(?:ok)?(?:lch|lab)\(",
    "css-pseudo-class-active": r":active\b",
    "css-pseudo-class-checked": r":checked\b",
    "css-pseudo-class-focus": r":focus\b",
    "css-pseudo-class-has": r":has\(",
    "css-pseudo-class-hover": r":hover\b",
    "css-pseudo-class-not": r":not\(",
    "css-pseudo-class-nth-child": r":nth-child\(",
    "css-pseudo-class-target": r":target\b",
    "css-pseudo-element-after": r"::?after\b",
    "css-pseudo-element-before": r"::?before\b",
    "css-radial-gradient": r"\bradial-gradient\(",
    "css-unit-calc": r"\bcalc\(",
    "css-unit-rem": r"\d(?:rem)\b",
    "css-unit-vh": r"\d(?:vh)\b",
    "css-unit-vmax": r"\d(?:vmax)\b",
    "css-unit-vmin": r"\d(?:vmin)\b",
    "css-unit-vw": r"\d(?:vw)\b",
    "css-variables": r"\bvar\(\s*--",
    "html-anchor-links": r"""<(?:a|mj-button)\b[^>]*\bhref\s*=\s*["']#\w""",
    "html-image-maps": r"<map\b|\busemap\s*=",
    "html-input-checkbox": r"""<input\b[^>]*\btype\s*=\s*["']?checkbox\b""",
    "html-input-radio": r"""<input\b[^>]*\btype\s*=\s*["']?radio\b""",
    "html-input-submit": r"""<input\b[^>]*\btype\s*=\s*["']?submit\b""",
    "html-input-text": r"""<input\b[^>]*\btype\s*=\s*["']?text\b""",
    "html-popover": r"<[^>]*\bpopover\b",
    "html-srcset": r"\bsrcset\s*=",
    **{f"html-{one}": rf"<{one}\b" for one in ELEMENTS.split()},
    "image-apng": r"\.apng\b",
    "image-avif": r"\.avif\b",
    "image-base64": r"""\bsrc\s*=\s*["']?data:image/""",
    "image-heif": r"\.hei[cf]\b",
    "image-mp4": r"""<img\b[^>]*\.mp4\b|<mj-image\b[^>]*\.mp4\b""",
    "image-svg": r"""\.svg\b(?=[?"'])""",
    "image-tiff": r"\.tiff?\b",
    "image-webp": r"\.webp\b",
}
"""By the name that the feature has there."""
_comments = re.compile(r"<!--.*?-->|/\*.*?\*/|\{#.*?#\}", re.DOTALL)
_tags = re.compile(r"<(?P<style>(?:mj-)?style)\b.*?</(?P=style)>|<[^<>]*>", re.DOTALL | re.IGNORECASE).finditer

Search = Callable[[str], re.Match[str] | None]


def used(code: str) -> Iterator[tuple[str, int]]:
    """The features that code is written with, each with its first line, from 1. Comments and plain words do not."""
    bare = _marked(_comments.sub(_lines, code))
    for name, search in searches().items():
        if found := search(bare):
            yield name, bare.count("\n", 0, found.start()) + 1


@cache
def searches() -> dict[str, Search]:
    """What finds each feature."""
    properties = {f"css-{one}": rf"(?<![-\w]){re.escape(one)}\s*[:=]" for one in PROPERTIES.split()}
    return {name: re.compile(pattern, re.IGNORECASE).search for name, pattern in {**properties, **PATTERNS}.items()}


def _marked(code: str) -> str:
    """Tags and style sheets alone; of all else the lines, so that those behind keep their numbers."""
    kept, at = list[str](), 0
    for found in _tags(code):
        kept += ["\n" * code.count("\n", at, found.start()), found[0]]
        at = found.end()
    return "".join(kept)


def _lines(comment: re.Match[str]) -> str:
    return "\n" * comment[0].count("\n")
