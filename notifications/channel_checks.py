"""Channel checks: by which of a journey's channels a shopper may be reached."""

from collections.abc import Iterator

import msgspec

from mesh.channels import CHANNELS, ChannelName
from notifications.check_result import CheckResult, result
from notifications.decision_input import DecisionInput
from notifications.journeys import Journey
from notifications.suppressions import words_of


def channel_results(inputs: DecisionInput, journey: Journey) -> list[CheckResult]:
    """The checks of every channel. One that is closed stops no other: whoever forbids e-mail still sees the card."""
    found = {channel: list(_results(channel, inputs, journey)) for channel in journey.channels}
    is_open = {channel: all(one.check.passed for one in results) for channel, results in found.items()}
    return [
        msgspec.structs.replace(one, other_channel_open=any(is_open.values()) and not is_open[channel])
        for channel, results in found.items()
        for one in results
    ]


def open_channels(inputs: DecisionInput, journey: Journey) -> tuple[ChannelName, ...]:
    """The channels by which an approved offer goes."""
    return tuple(
        channel for channel in journey.channels if all(one.check.passed for one in _results(channel, inputs, journey))
    )


def _results(channel: ChannelName, inputs: DecisionInput, journey: Journey) -> Iterator[CheckResult]:
    entry = CHANNELS.require(channel)
    if entry.address is not None:
        known = entry.address == "email" and inputs.email_known
        value = f"{entry.title} known" if known else f"no {entry.title} known"
        yield result("identified", known, value, f"no {entry.title} address", channel=channel)
    if entry.address is not None and inputs.suppressed:
        value = f"nothing is sent to it: {words_of(inputs.suppressed)}"
        yield result("address", False, value, "address suppressed", channel=channel)
    elif entry.address is not None and known:
        yield result("address", True, "may be written to", channel=channel)
    if entry.address is not None and journey.double_opt_in:
        value = "confirmed" if inputs.email_confirmed else "unconfirmed"
        yield result("confirmed", inputs.email_confirmed, value, "address not confirmed", channel=channel)
    asked = inputs.consent.get(channel)
    passed = (journey.assume_consent or not entry.asks) if asked is None else asked
    if asked is None:
        value = f"{channel}: never asked, {'assumed' if passed else 'not assumed'}"
    else:
        value = f"{channel}: {'granted' if asked else 'refused'}"
    yield result("consent", passed, value, "no consent", channel=channel)
    gone = channel in inputs.unsubscribed
    yield result(
        "subscribed", not gone, f"{channel}: {'unsubscribed' if gone else 'yes'}", "unsubscribed", channel=channel
    )
