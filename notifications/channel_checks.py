"""Channel checks: by which of a journey's channels a shopper may be reached."""

from collections.abc import Iterator

import msgspec

from mesh.channels import CHANNELS, EMAIL, Channel, ChannelName
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
    if setting := inputs.not_set_up.get(channel):
        yield result("set up", False, f"set {setting}", "channel not set up", channel=channel)
    if entry.address is not None:
        yield from _address_results(entry, inputs, journey)
    asked = inputs.consent.get(channel)
    assumed = not entry.asks or (journey.assume_consent and not entry.explicit)
    passed = assumed if asked is None else asked
    if asked is None:
        value = f"{channel}: never asked, {'assumed' if passed else 'not assumed'}"
    else:
        value = f"{channel}: {'granted' if asked else 'refused'}"
    yield result("consent", passed, value, "no consent", channel=channel)
    gone = channel in inputs.unsubscribed
    yield result(
        "subscribed", not gone, f"{channel}: {'unsubscribed' if gone else 'yes'}", "unsubscribed", channel=channel
    )


def _known_by(entry: Channel, inputs: DecisionInput) -> str:
    """By what else the shopper is known, for people who wonder why a channel was not used."""
    others = [CHANNELS.require(one) for one in (EMAIL.name, *inputs.addresses) if one != entry.name]
    known = [one.needs for one in others if inputs.address(one.name)]
    return f", only a {' and a '.join(known)}" if known else ""


def _address_results(entry: Channel, inputs: DecisionInput, journey: Journey) -> Iterator[CheckResult]:
    """Whether the channel's address is known, may be written to, and is confirmed where the journey wants that."""
    known, channel = inputs.address(entry.name), entry.name
    title = entry.title if entry.address == "email" else entry.needs
    value = f"{title} known" if known else f"no {title} known{_known_by(entry, inputs)}"
    yield result("identified", known is not None, value, f"no {entry.needs}", channel=channel)
    if known is not None and known.suppressed:
        value = f"nothing is sent to it: {words_of(known.suppressed)}"
        yield result("address", False, value, "address suppressed", channel=channel)
    elif known is not None:
        yield result("address", True, "may be written to", channel=channel)
    if journey.double_opt_in and not entry.reported:
        confirmed = known is not None and known.confirmed
        value = "confirmed" if confirmed else "unconfirmed"
        yield result("confirmed", confirmed, value, "address not confirmed", channel=channel)
