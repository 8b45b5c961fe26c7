"""Template sandbox: Jinja as it is allowed to templates, and how their many small texts are filled."""

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any, ClassVar

import jinja2
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

LONGEST_KEPT, MOST_KEPT = 16_000, 500
"""Characters of a source that is kept compiled, and how many are."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, without powers: a big one computes in C, where nothing can interrupt it."""

    intercepted_binops = frozenset({"**"})
    _kept: ClassVar[OrderedDict[tuple[Any, ...], Any]] = OrderedDict()

    def compile(self, source: Any, name: str | None = None, filename: str | None = None, *rest: Any) -> Any:
        """As Jinja does it. What it made of short sources is kept: an edited template is new in one text of many."""
        if not isinstance(source, str) or len(source) > LONGEST_KEPT or any(rest):
            return super().compile(source, name, filename, *rest)
        key = (self.autoescape, self.finalize, source, name, filename)
        if key not in self._kept:
            self._kept[key] = super().compile(source, name, filename)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def getattr(self, obj: Any, attribute: str) -> Any:
        """As Jinja does it, but values and texts, which are most of what is asked for, are found without trying."""
        if type(obj) is dict and attribute in obj and not hasattr(dict, attribute):
            return obj[attribute]
        if type(obj) is SimpleNamespace and attribute in vars(obj) and not attribute.startswith("_"):
            return vars(obj)[attribute]
        return super().getattr(obj, attribute)

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002  Jinja's signature
        """Refuse the only operator that is intercepted."""
        raise SecurityError(f"{left} {operator} ...: powers are not for mails")


class Text:
    """A text of a template, ready to be filled with values."""

    def __init__(self, environment: Sandbox, source: str) -> None:
        self._template = environment.from_string(source)
        self._fixed = self._template.render() if "{" not in source else None

    def filled(self, values: dict[str, Any]) -> str:
        """The text with values, which hold the environment's globals. What the text sets is gone afterwards."""
        return filled(self._template, values) if self._fixed is None else self._fixed


def filled(template: jinja2.Template, values: dict[str, Any]) -> str:
    """As `template.render(values)`, which copies all values for each text; a mail has more than thirty."""
    try:
        return "".join(template.root_render_func(template.new_context(values, shared=True)))
    except Exception:  # noqa: BLE001  raised again, its trace with the lines of the template
        template.environment.handle_exception()
