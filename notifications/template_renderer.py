"""Template renderer: a template file and data become subject, HTML, text and card. Runs in the render worker only.

A template file is TOML front matter between two lines `+++` (the texts, Jinja allowed in each) and a
body in Jinja over MJML, most often one line that extends a layout. The texts `because` are lines of each
recommended product, which is `line` in them.
"""

import re
import tomllib
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import css_inline
import jinja2
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup
from mjml import mjml2html

from notifications.template_filters import filters, locale_of, web
from notifications.templates import FOLDER

SUFFIX = ".mjml.j2"
LARGEST = 400_000
CARD = ("title", "body", "action")
WORDS: dict[type[Exception], str] = {
    jinja2.TemplateNotFound: "it extends or includes {error}, which is not there",
    jinja2.UndefinedError: "{error}: check the name, or write {{% if ... is defined %}}",
    SecurityError: "{error}: templates may not reach behind values",
    MemoryError: "it needs more memory than a mail may: shorten what it repeats",
    TimeoutError: "it takes too long: look for a loop that does not end, or loops within loops",
    RecursionError: "it includes itself or calls itself without end",
}
_inliner = css_inline.CSSInliner(keep_style_tags=True, keep_at_rules=True, load_remote_stylesheets=False)


class RenderError(Exception):
    """A template cannot be rendered: `where` names file and line, the message says what is wrong and what to do.

    `costly`: result that out took all the time there was.
    """

    def __init__(self, where: str, why: str, *, costly: bool = False) -> None:
        super().__init__(why)
        self.where, self.costly = where, costly


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, without powers: a big one computes in C, where nothing can interrupt it."""

    intercepted_binops = frozenset({"**"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002  Jinja's signature
        """Refuse the only operator that is intercepted."""
        raise SecurityError(f"{left} {operator} ...: powers are not for mails")


class TemplateRenderer:
    """Renders the templates of one folder; keeps what it has compiled until a file changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        loader = jinja2.FunctionLoader(partial(_load, folder))
        options = {"loader": loader, "undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
        self._markup = Sandbox(autoescape=True, **options)
        self._plain = Sandbox(autoescape=False, **options)
        self._compiled = cache(lambda environment, text: environment.from_string(text))

    def render(self, name: str, wanted: str | None, data: dict[str, Any]) -> dict[str, Any]:
        """`{"locale", "subject", "html", "text", "card"}`, the card with title, body and action.

        `wanted` is the shopper's locale; its language is chosen where it is there, else English.
        Raises RenderError.
        """
        path, language = self._choose(name, wanted)
        front = dict(_front_matter(self._folder / path, path))
        because = front.pop("because", "")
        locale = locale_of(wanted, language)
        for environment in (self._markup, self._plain):
            environment.filters.update(filters(locale, data.get("time_zone")))
        context = {**_safe(data), "language": locale.language}
        marked, plain = {}, {}
        for key, text in front.items():
            where = f"{path} [{key}]"
            marked[key] = Markup(self._render_text(self._markup, where, text, context))  # noqa: S704  escaped as it was rendered
            plain[key] = self._render_text(self._plain, where, text, context)
        marked_context = self._with_reasons(self._markup, path, because, {**context, "say": SimpleNamespace(**marked)})
        plain_context = self._with_reasons(self._plain, path, because, {**context, "say": SimpleNamespace(**plain)})
        mjml = self._render(self._markup, path, marked_context)
        text = self._render(self._plain, "layouts/offer.txt.j2", plain_context)
        return {
            "locale": str(locale),
            "subject": " ".join(plain["subject"].split()),
            "html": _html(mjml, path),
            "text": re.sub(r"\n{3,}", "\n\n", text).strip() + "\n",
            "card": {key: plain[f"card.{key}"].strip() for key in CARD},
        }

    def warm(self) -> None:
        """Compile what there is, so that the first mail is as fast as the second."""
        for path in self._folder.rglob(f"*{SUFFIX}"):
            try:
                self._markup.get_template(path.relative_to(self._folder).as_posix())
            except (jinja2.TemplateError, RenderError):
                continue  # reported when it is used

    def _choose(self, name: str, wanted: str | None) -> tuple[str, str]:
        there = sorted(path.name.removesuffix(SUFFIX) for path in self._folder.glob(f"{name}/*{SUFFIX}"))
        if not re.fullmatch(r"[a-z0-9-]+", name) or not there:
            known = sorted({path.parent.name for path in self._folder.glob(f"*/*{SUFFIX}")} - {"layouts"})
            raise RenderError(name, f"there is no such template; there is {', '.join(known)}")
        tag = (wanted or "").replace("_", "-")
        chosen = next(one for one in (tag, tag.partition("-")[0], "en", there[0]) if one in there)
        return f"{name}/{chosen}{SUFFIX}", chosen.replace("-", "_")

    def _with_reasons(
        self, environment: jinja2.Environment, path: str, because: str, context: dict[str, Any]
    ) -> dict[str, Any]:
        """The context with text of why each product is recommended: `because` of the front matter, for each `line`."""
        lines = []
        for line in context["recommended"]:
            words = self._render_text(environment, f"{path} [because]", because, {**context, "line": line}).strip()
            lines.append({**line, "because": Markup(words) if environment is self._markup else words})  # noqa: S704  escaped as it was rendered
        return {**context, "recommended": lines}

    def _render_text(self, environment: jinja2.Environment, where: str, text: str, context: dict[str, Any]) -> str:
        try:
            return _bounded(self._compiled(environment, text).render(context), where)
        except Exception as error:
            raise _refused(error, where) from error

    def _render(self, environment: jinja2.Environment, path: str, context: dict[str, Any]) -> str:
        try:
            return _bounded(environment.get_template(path).render(context), path)
        except Exception as error:
            raise _refused(error, path) from error


def _load(folder: Path, name: str) -> tuple[str, str, Any]:
    """A template file's body, its lines where they are in the file. Layouts come with Cartmesh, or are one's own."""
    within = ((root, (root / name).resolve()) for root in (folder, FOLDER))
    path = next((path for root, path in within if path.is_relative_to(root.resolve()) and path.is_file()), None)
    if path is None:
        raise jinja2.TemplateNotFound(name)
    source, changed = path.read_text(encoding="utf-8"), path.stat().st_mtime
    if source.startswith("+++\n"):
        front, _, body = source[4:].partition("\n+++\n")
        source = "\n" * (front.count("\n") + 3) + body
    return source, name, lambda: path.stat().st_mtime == changed


def _front_matter(path: Path, name: str) -> dict[str, str]:
    """The texts of a template file: `subject`, `preheader`, whatever its layout uses, `card.title`, ..."""
    return _words(path, name, path.stat().st_mtime_ns)


@cache
def _words(path: Path, name: str, changed: int) -> dict[str, str]:  # noqa: ARG001  the time makes a changed file be read again
    source = path.read_text(encoding="utf-8")
    if not source.startswith("+++\n") or "\n+++\n" not in source[3:]:
        raise RenderError(f"{name} line 1", "it must begin with front matter between two lines +++")
    try:
        front = tomllib.loads("\n" + source[4:].partition("\n+++\n")[0])
    except tomllib.TOMLDecodeError as error:
        raise RenderError(name, f"front matter: {error}") from None
    card = front.pop("card", {})
    words = {**front, **{f"card.{key}": text for key, text in card.items()}}
    missing = [key for key in ("subject", "preheader", *(f"card.{key}" for key in CARD)) if key not in words]
    if missing:
        raise RenderError(name, f"front matter lacks {', '.join(missing)}")
    wrong = [key for key, text in words.items() if not isinstance(text, str)]
    if wrong:
        raise RenderError(name, f"front matter: {', '.join(wrong)} must be text in quotes")
    return words


def _html(mjml: str, path: str) -> str:
    try:
        html = mjml2html(mjml)
    except ValueError as error:
        raise RenderError(path, f"the MJML it makes is not well formed: {error}") from error
    unknown = re.search(r"<(mj-[a-z-]+)", html)
    if unknown:
        raise RenderError(path, f"<{unknown[1]}> is no MJML element, or stands where it may not")
    return _inliner.inline(html)


def _bounded(text: str, where: str) -> str:
    if len(text) > LARGEST:
        raise RenderError(where, f"it makes {len(text):,} characters; mail programs cut mails off far below that")
    return text


def _refused(error: Exception, shown: str) -> RenderError:
    """What is wrong, with the innermost line of a template that the error passed through."""
    if isinstance(error, RenderError):
        return error
    if isinstance(error, jinja2.TemplateSyntaxError):
        return RenderError(f"{error.name or shown} line {error.lineno}", error.message or "syntax error")
    where, trace = shown, error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.endswith(".j2") or file == "<template>":
            where = f"{shown if file == '<template>' else file} line {trace.tb_lineno}"
        trace = trace.tb_next
    return RenderError(where, _why(error), costly=isinstance(error, TimeoutError))


def _why(error: Exception) -> str:
    for kind, words in WORDS.items():
        if isinstance(error, kind):
            return words.format(error=error)
    return f"{type(error).__name__}: {error}"


def _safe(data: dict[str, Any]) -> dict[str, Any]:
    """The data with only web addresses left in products: what a storefront sent may be anything."""
    cleaned = dict(data)
    for group in ("lines", "recommended"):
        cleaned[group] = [
            {**line, "url": web(line.get("url")), "image": web(line.get("image"))} for line in data.get(group, ())
        ]
    return cleaned
