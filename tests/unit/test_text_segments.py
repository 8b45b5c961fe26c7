"""How many messages a text is sent as, and what is said of it while it is written."""

import pytest

from notifications.channels.sms.segments import segments_of
from notifications.text_checks import check_text

STOP = "https://links.shop.example/s/Lm4cV9oSp2e8"


@pytest.mark.parametrize(
    ("text", "count", "length", "room"),
    [
        pytest.param("", 1, 0, 160, id="nothing"),
        pytest.param("a" * 160, 1, 160, 160, id="the most of one"),
        pytest.param("a" * 161, 2, 161, 306, id="one more"),
        pytest.param("a" * 306, 2, 306, 306, id="the most of two"),
        pytest.param("a" * 307, 3, 307, 459, id="three"),
        pytest.param("€" * 80, 1, 160, 160, id="a sign of two places"),
        pytest.param("a" * 152 + "€" + "a" * 7, 2, 161, 306, id="not cut in its middle"),
        pytest.param("a" * 152 + "€" + "a" * 152, 3, 306, 459, id="the room that is lost by that"),
        pytest.param("Äöüß Ñ à Ω", 1, 10, 160, id="in the alphabet"),
        pytest.param("é" * 70 + "ş", 2, 71, 134, id="one sign that is not"),
        pytest.param("カ" * 70, 1, 70, 70, id="Japanese"),
        pytest.param("カ" * 71, 2, 71, 134, id="more Japanese"),
        pytest.param("😀" * 35, 1, 70, 70, id="emoji"),
    ],
)
def test_a_text_is_cut_as_networks_cut_it(text, count, length, room):
    """3GPP TS 23.038: 160 and 153, or 70 and 67."""
    found = segments_of(text)

    assert (found.count, found.length, found.room) == (count, length, room)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", [], id="none"),
        pytest.param(f"Your cart waits. Stop: {STOP}", [], id="fine"),
        pytest.param("Your cart waits. Reply STOP to end", [], id="by an answer"),
        pytest.param("Your cart waits.", [("error", "does not say how to end")], id="no way out"),
        pytest.param("a" * 170 + " STOP", [("hint", "paid as 2 messages: 175 of 306")], id="two messages"),
        pytest.param(
            "ş" + "a" * 80 + " STOP", [("hint", "paid as 2 messages: 86 of 134"), ("hint", "“ş” is not")], id="unusual"
        ),
        pytest.param("STOP " * 400, [("error", "14 messages: providers take 10")], id="too long"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_while_it_is_written(text, said):
    """Its price, the sign that doubles it, and that it must say how to end such messages."""
    found = list(check_text(text, STOP))

    assert [(one.level, words in one.words) for one, (_, words) in zip(found, said, strict=True)] == [
        (level, True) for level, _ in said
    ]
