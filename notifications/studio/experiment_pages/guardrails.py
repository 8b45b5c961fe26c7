"""Guardrails: how many of those who were mailed unsubscribed or complained, and whether that does harm.

Orders say what offers bring; these say what they cost in permission. They count per mail, as mail providers do, from
the figures of offers, and have the interval that may be looked at every day.
"""

import math
from collections.abc import Iterable, Mapping

import msgspec

from notifications.exact_sums import Figures
from notifications.experiments.effect import ALPHA, LEAST, Effect, Sums, effect, half_width
from notifications.studio.decision_pages.offer_record import MAILED, step_key

UNSUBSCRIBED, COMPLAINED = "unsubscribed", "complained"
GUARDRAILS = {UNSUBSCRIBED: "Unsubscribed", COMPLAINED: "Reported as spam"}
BOUNDS = {UNSUBSCRIBED: 0.005, COMPLAINED: 0.001}
"""Shares of mails above which a journey does harm: senders are to keep complaints below 0.1 %
(https://support.google.com/a/answer/81126), and half a percent who unsubscribe is much of a usual newsletter."""
LEAST_EVENTS = 5
"""The fewest of two variants together of which a difference is said: an interval for large numbers needs some."""


class Mails(msgspec.Struct, frozen=True, kw_only=True):
    """How many mails were sent, and after how many somebody unsubscribed or complained."""

    sent: int = 0
    unsubscribed: int = 0
    complained: int = 0

    def count(self, name: str) -> int:
        """One of the guardrails, no more than were sent: a report may arrive before the record of its mail."""
        return min(int(getattr(self, name)), self.sent)

    def sums(self, name: str) -> Sums:
        """Ones and zeros: one for each mail."""
        count = self.count(name)
        return Sums(n=self.sent, y=count, yy=count)

    @property
    def is_enough(self) -> bool:
        """Whether there are enough to say anything."""
        return self.sent >= LEAST


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """The share of mails, 0 to 1, with its interval; `harms` where even the lower end is above the bound."""

    title: str
    count: int
    share: float
    low: float
    high: float
    bound: float
    is_enough: bool

    @property
    def harms(self) -> bool:
        """Whether harm is known."""
        return self.is_enough and self.low > self.bound


def mails_of(figures: Figures, before: str = "") -> Mails:
    """The mails of a journey, or of what the names that begin with `before` count."""
    return Mails(
        sent=figures.get(f"{before}{MAILED}", 0),
        unsubscribed=figures.get(f"{before}{UNSUBSCRIBED}", 0),
        complained=figures.get(f"{before}{COMPLAINED}", 0),
    )


def mails_of_variants(figures: Figures, step: str, variants: Iterable[str]) -> Mapping[str, Mails]:
    """The mails of each variant of a step."""
    return {one: mails_of(figures, step_key(step, one)) for one in variants}


def rates(mails: Mails) -> tuple[Rate, ...]:
    """Each guardrail of some mails by itself."""
    return tuple(_rate(mails, name, title) for name, title in GUARDRAILS.items()) if mails.sent else ()


def harm(control: Mails, treated: Mails, name: str, *, alpha: float = ALPHA) -> Effect | None:
    """How many more of the treated mails went wrong, per mail; None where there are too few to say anything."""
    if not (control.is_enough and treated.is_enough) or control.count(name) + treated.count(name) < LEAST_EVENTS:
        return None
    return effect([(control.sums(name), treated.sums(name))], alpha=alpha)


def _rate(mails: Mails, name: str, title: str) -> Rate:
    count = mails.count(name)
    share = count / mails.sent
    half = half_width(mails.sent, math.sqrt(share * (1 - share)))
    return Rate(
        title=title,
        count=count,
        share=share,
        low=max(share - half, 0.0),
        high=min(share + half, 1.0),
        bound=BOUNDS[name],
        is_enough=mails.is_enough and count >= LEAST_EVENTS,
    )
