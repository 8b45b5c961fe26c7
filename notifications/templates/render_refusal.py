"""Render refusal: what an exception says about the template in which it was raised."""

import jinja2
from jinja2.exceptions import SecurityError

from notifications.templates.render_error import RenderError

WORDS: dict[type[Exception], str] = {
    jinja2.TemplateNotFound: "it extends or includes {error}, which is not there",
    jinja2.UndefinedError: "{error}: check the name, or write {{% if ... is defined %}}",
    SecurityError: "{error}: templates may not reach behind values",
    MemoryError: "it needs more memory than a mail may: shorten what it repeats",
    TimeoutError: "it takes too long: look for a loop that does not end, or loops within loops",
    RecursionError: "it includes itself or calls itself without end",
}


def refused(error: Exception, shown: str) -> RenderError:
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
